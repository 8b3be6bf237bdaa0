-- The embedded store's schema, version 2 (PRAGMA user_version). A changed table is a new version and a migration.

CREATE TABLE meta (
    key    TEXT PRIMARY KEY,
    value  NOT NULL
) WITHOUT ROWID;

-- What many entities have in common is kept once, so that types, attributes in use and scopes of an entity are three
-- integers in its row. A query resolves its conditions on these few sets first; a census counts sets, not entities.

CREATE TABLE type_sets (
    no        INTEGER PRIMARY KEY,
    tenant    TEXT NOT NULL,
    types     TEXT NOT NULL,                     -- JSON: [type IRI, ...], sorted
    entities  INTEGER NOT NULL DEFAULT 0,      -- how many entities have exactly these types now
    UNIQUE (tenant, types)
);

CREATE TABLE type_set_members (
    tenant    TEXT NOT NULL,
    type      TEXT NOT NULL,
    type_set  INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, type_set)
) WITHOUT ROWID;

CREATE TABLE shapes (                          -- a type set with the attributes in use and their kinds
    no          INTEGER PRIMARY KEY,
    type_set    INTEGER NOT NULL,
    attributes  TEXT NOT NULL,                 -- JSON: [[attribute IRI, [kind, ...]], ...], sorted
    entities    INTEGER NOT NULL DEFAULT 0,    -- how many entities have this shape now
    UNIQUE (type_set, attributes)
);

CREATE TABLE shape_attributes (
    tenant     TEXT NOT NULL,
    attribute  TEXT NOT NULL,
    shape      INTEGER NOT NULL,
    PRIMARY KEY (tenant, attribute, shape)
) WITHOUT ROWID;

CREATE TABLE scope_sets (
    no      INTEGER PRIMARY KEY,
    tenant  TEXT NOT NULL,
    scopes  TEXT NOT NULL,                     -- JSON: [scope, ...], sorted
    UNIQUE (tenant, scopes)
);

CREATE TABLE entities (
    row         INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL,
    id          TEXT NOT NULL,
    version     INTEGER NOT NULL,
    type_set    INTEGER NOT NULL,
    shape       INTEGER NOT NULL,
    scope_set   INTEGER,
    expires_at  TEXT,                          -- canonical, of the entity itself
    fades_at    TEXT,                          -- canonical, the earliest of its attribute instances' own
    entries     TEXT,                          -- JSON: what `boxes` and `indexed_values` (value_indexes.sql) hold for this row
    body        TEXT NOT NULL                  -- JSON: broker.model.entity
);

CREATE UNIQUE INDEX entities_by_id ON entities (tenant, id);
CREATE INDEX entities_by_type ON entities (type_set, id, shape, scope_set, expires_at);
CREATE INDEX entities_by_shape ON entities (shape);
CREATE INDEX entities_by_scope ON entities (scope_set) WHERE scope_set IS NOT NULL;
CREATE INDEX entities_by_expiry ON entities (tenant, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX entities_by_fading ON entities (tenant, fades_at) WHERE fades_at IS NOT NULL;
CREATE INDEX entities_to_remove ON entities (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX entities_to_trim ON entities (fades_at) WHERE fades_at IS NOT NULL;

-- Geometries by bounding box. A layer is one GeoProperty of one tenant; as a dimension of its own ([no, no + 0.5])
-- it keeps the boxes of one layer together.

CREATE TABLE layers (
    no         INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    attribute  TEXT NOT NULL,
    UNIQUE (tenant, attribute)
);

CREATE VIRTUAL TABLE boxes USING rtree (
    no, layer_low, layer_high, west, east, south, north, +row INTEGER
);

CREATE TABLE changes (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    entity_id  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    at         TEXT NOT NULL,
    touched    TEXT NOT NULL,                  -- JSON: [[attribute, datasetId or null, trigger], ...]
    before     TEXT,
    after      TEXT
);

CREATE TABLE cursors (
    name      TEXT PRIMARY KEY,
    sequence  INTEGER NOT NULL
) WITHOUT ROWID;

-- Temporal history. A series is what one attribute (IRI, or "scope") with one datasetId was over time. Entries lie in the
-- order of their moment, observedAt or else modifiedAt, so that a stretch of time is one piece of the table.

CREATE TABLE evolutions (
    no           INTEGER PRIMARY KEY,
    tenant       TEXT NOT NULL,
    id           TEXT NOT NULL,
    types        TEXT NOT NULL,                -- JSON: [type IRI, ...]: all that the entity ever had
    created_at   TEXT NOT NULL,
    modified_at  TEXT NOT NULL,
    deleted_at   TEXT,
    UNIQUE (tenant, id)
);

CREATE TABLE evolution_types (
    tenant     TEXT NOT NULL,
    type       TEXT NOT NULL,
    id         TEXT NOT NULL,
    evolution  INTEGER NOT NULL,
    PRIMARY KEY (tenant, type, id)
) WITHOUT ROWID;

CREATE TABLE series (
    no         INTEGER PRIMARY KEY,
    evolution  INTEGER NOT NULL,
    attribute  TEXT NOT NULL,
    dataset    TEXT NOT NULL,                  -- '' for the default instance
    UNIQUE (evolution, attribute, dataset)
);

CREATE TABLE history (
    series       INTEGER NOT NULL,
    moment       TEXT NOT NULL,                -- canonical, as are the other times
    sequence     INTEGER NOT NULL,
    instance_id  TEXT NOT NULL,
    observed     INTEGER NOT NULL,             -- whether the moment is an observedAt
    created_at   TEXT NOT NULL,
    modified_at  TEXT NOT NULL,
    deleted_at   TEXT,
    deleted      INTEGER NOT NULL,
    recorded_at  TEXT NOT NULL,
    types        TEXT NOT NULL,                -- JSON
    instance     TEXT NOT NULL,                -- JSON
    PRIMARY KEY (series, moment, sequence, instance_id)
) WITHOUT ROWID;

CREATE TABLE documents (
    no      INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation
    kind    TEXT NOT NULL,
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    body    TEXT NOT NULL,
    UNIQUE (kind, tenant, id)
);

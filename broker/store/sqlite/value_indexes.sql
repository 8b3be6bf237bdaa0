-- Values that queries compare often are indexed, one row a scalar. They are of SQLite's own types: numbers and strings (the
-- first characters of long ones) as they are, x'00' and x'01' for false and true, and x'' for what has no term here and is
-- found by every search. As the entity's id follows the value, all that have one value come in order of id.

CREATE TABLE value_indexes (
    no      INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: a row may name one that has gone
    tenant  TEXT NOT NULL,
    type    TEXT NOT NULL,                     -- '' for entities of every type
    path    TEXT NOT NULL,                     -- JSON: [[name, ...], [member, ...] or null]
    state   TEXT NOT NULL DEFAULT 'building',  -- then 'ready', at last 'going'
    built   INTEGER NOT NULL DEFAULT 0,        -- rows up to this one are indexed; later ones if written since
    uses    INTEGER NOT NULL DEFAULT 0,        -- queries that it has led, halved from time to time
    UNIQUE (tenant, type, path)
);

CREATE TABLE indexed_values (
    no     INTEGER NOT NULL,
    value  NOT NULL,
    id     TEXT NOT NULL,
    row    INTEGER NOT NULL,
    PRIMARY KEY (no, value, id)
) WITHOUT ROWID;

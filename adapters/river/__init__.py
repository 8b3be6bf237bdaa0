"""Rivers: levels, rain and dams as prefectures and the state publish them -> entities."""

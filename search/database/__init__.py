"""How the store is kept: addresses, connections, tables, migrations. Its face: `search.store`."""

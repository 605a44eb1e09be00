"""The audit, in three rooms: `trial` tests the classifier, `trust` one map, `agreement` sets maps beside doctors."""

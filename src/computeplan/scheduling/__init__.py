"""Who runs where, when: policies as pure functions of a view."""

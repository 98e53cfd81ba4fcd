//! Text to scenario: parse, findings with a place, resolve, explain.

//! Maps the result of the command line to an exit code, nothing else.
fn main() {}

//! One path, once, for `instructions.py`: `count PATH SECONDS` prints how many requests and events there were, `count` alone
//! the paths that have a budget with their two lengths.

mod paths;

/// Paths with a budget of instructions: name, and two lengths in seconds of simulated time. What is fixed cancels out in the
/// difference.
const COUNTED: &[(&str, f64, f64)] = &[
    ("mm1", 200.0, 600.0),
    ("mm100", 4.0, 12.0),
    ("lambda", 20.0, 60.0),
    ("lambda_1000", 6.0, 24.0),
    ("lambda_10000", 6.0, 9.0),
    ("nginx", 20.0, 60.0),
];

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Some(name) = words.next() else {
        for (name, short, long) in COUNTED {
            println!("{name} {short} {long}");
        }
        return;
    };
    let seconds = words.next().and_then(|word| word.parse().ok()).unwrap_or(1.0);
    if let Some(scenario) = paths::path(&name, seconds) {
        let (requests, events) = paths::once(&paths::plan(&scenario), 0);
        println!("{requests} {events}");
    }
}

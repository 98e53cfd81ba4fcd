//! Runs scenarios given as JSON values.

use headroom::experiment::result::RunResult;
use headroom::experiment::{Plan, Silent, replicate, run};
use headroom::model::data::Data;
use headroom::model::world::Outturn;
use headroom::price::Table;

/// A plan from JSON text, without files.
pub(crate) fn plan(text: &str) -> Plan {
    let (read, findings) = headroom::scenario::read(text.as_bytes());
    let read = read.unwrap_or_else(|| panic!("{findings:?}\n{text}"));
    Plan {
        resolved: read.resolved,
        scenario: read.scenario,
        data: Data::default(),
        prices: Table::builtin("us-east-1").unwrap(),
        assumptions: Vec::new(),
    }
}

/// Follows every `$ headroom …` line of a document's console blocks: `headroom` runs it, and what it prints must hold what
/// the document shows, where `…` stands for lines left out. Says how many were followed.
pub(crate) fn follow(name: &str, document: &str, headroom: &dyn Fn(&[&str]) -> String) -> usize {
    let mut followed = 0;
    for block in document.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for session in block.split("$ headroom").skip(1) {
            let (command, expected) = session.split_once('\n').unwrap();
            // Quotes keep a shell from reading `*`; there is no shell here.
            let words = command.split_whitespace().map(|word| word.trim_matches('\''));
            let printed = headroom(&words.collect::<Vec<_>>());
            let mut rest = printed.as_str();
            for piece in expected.trim().split("\n…").map(|piece| piece.trim_matches('\n')) {
                let at = rest.find(piece).unwrap_or_else(|| {
                    panic!("{name}: headroom{command}\nexpected:\n{piece}\nprinted:\n{printed}")
                });
                rest = &rest[at + piece.len()..];
            }
            followed += 1;
        }
    }
    followed
}

/// Follows a page of the repository from its root, with the program itself. Says how many commands there were.
pub(crate) fn follow_page(page: &str) -> usize {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join(page)).unwrap();
    follow(page, &document, &|args| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_headroom"));
        let output = program.args(args).current_dir(root).env("COLUMNS", "120").output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    })
}

/// Runs a plan to its result.
pub(crate) fn result(text: &str) -> RunResult {
    run(&plan(text), &Silent).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs a plan to its raw replications, `[design][replication]`.
pub(crate) fn outturns(text: &str) -> Vec<Vec<Outturn>> {
    replicate(&plan(text), &Silent).unwrap_or_else(|e| panic!("{e}"))
}

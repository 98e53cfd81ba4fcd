//! The command line: flags, files, standard output, wall clock, environment. Logic worth a unit test lives below.
mod args;
mod diff;
mod explain;
mod files;
mod find;
mod init;
mod load;
mod plan;
mod progress;
mod report;
mod run;
mod say;
mod shard;
mod sweep;
mod truths;
mod verify;
mod verify_hpa;

pub use args::Cli;

use args::{Command, Shared};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// How a command ended; the numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, all thresholds met.
    Ok = 0,
    /// The run failed, or a file could not be written.
    Failed = 1,
    /// Wrong usage, a scenario with errors, or a file that could not be read: what was asked cannot be begun.
    Usage = 2,
    /// Undecided thresholds under `--strict`.
    Undecided = 98,
    /// Thresholds failed.
    Thresholds = 99,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) if why.use_stderr() => {
            let (text, code) = (why.render().to_string(), "E0006");
            say::error(text.replacen("error:", &format!("error[{code}]:"), 1).trim_end());
            return Exit::Usage.into();
        }
        // What was asked for, help or the version, is no error.
        Err(what) => what.exit(),
    };
    let exit = match cli.command {
        None => run::command(&args::RunArgs::default(), &cli.shared),
        Some(command) => dispatch(command, &cli.shared),
    };
    exit.into()
}

fn dispatch(command: Command, shared: &Shared) -> Exit {
    match command {
        Command::Run(args) => run::command(&args, shared),
        Command::Report(args) => report::command(&args, shared),
        Command::Diff(args) => diff::command(&args, shared),
        Command::Sweep(args) => sweep::command(&args, shared),
        Command::Merge(args) => sweep::merge(&args),
        Command::Find(args) => find::command(&args, shared),
        Command::Plan(args) => plan::plan(&args, shared),
        Command::Check(args) => plan::check(&args, shared),
        Command::Explain(args) => explain::explain(&args),
        Command::Schema => explain::schema(),
        Command::Verify(args) => verify::command(&args, shared),
        Command::Init(args) => init::init(&args),
        Command::Completions(args) => {
            let mut text = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "headroom", &mut text);
            say::bytes(&text)
        }
        Command::Man(args) => init::man(&args),
    }
}

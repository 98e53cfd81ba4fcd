//! `headroom init` and `headroom man`.

use super::args::{Cli, InitArgs, ManArgs, Template};
use super::{Exit, files, say};
use clap::CommandFactory;

/// Writes a scenario to start from.
pub(super) fn init(args: &InitArgs) -> Exit {
    let text = match args.template {
        Template::Compare => include_str!("templates/compare.json"),
        Template::Lambda => include_str!("templates/lambda.json"),
        Template::Cluster => include_str!("templates/cluster.json"),
    };
    let Some(path) = &args.out else { return say::bytes(text.as_bytes()) };
    if files::exists(path) {
        say::error(&format!(
            "error[E0003]: \"{}\" exists already; choose another name",
            path.display()
        ));
        return Exit::Usage;
    }
    match files::write(path, text.as_bytes()) {
        Ok(()) => Exit::Ok,
        Err(why) => {
            say::error(&why.to_string());
            Exit::Failed
        }
    }
}

/// Writes a manual page for the program and one for each command.
pub(super) fn man(args: &ManArgs) -> Exit {
    let outcome = files::open_folder(&args.dir).and_then(|()| {
        let mut pages = vec![("headroom".to_owned(), Cli::command())];
        for command in Cli::command().get_subcommands() {
            let name = format!("headroom-{}", command.get_name());
            pages.push((name, command.clone()));
        }
        for (name, command) in pages {
            let mut page = Vec::new();
            // Writing into memory cannot fail.
            let _ = clap_mangen::Man::new(command).render(&mut page);
            files::write(&args.dir.join(format!("{name}.1")), &page)?;
        }
        Ok(())
    });
    match outcome {
        Ok(()) => Exit::Ok,
        Err(why) => {
            say::error(&why.to_string());
            Exit::Failed
        }
    }
}

//! Progress on standard error, and Ctrl-C.

use crate::experiment::Observer;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shows progress on a terminal and stops the run on Ctrl-C.
pub(super) struct Watch {
    bar: OnceLock<ProgressBar>,
    visible: bool,
}

static STOP: AtomicBool = AtomicBool::new(false);

impl Watch {
    /// Begins to watch. `quiet` shows nothing.
    pub(super) fn new(quiet: bool) -> Watch {
        // A second Ctrl-C ends the program at once. Where no handler can be set, Ctrl-C ends it at the first.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::abort();
            }
        });
        Watch { bar: OnceLock::new(), visible: !quiet && std::io::stderr().is_terminal() }
    }

    /// Whether Ctrl-C was pressed.
    pub(super) fn interrupted() -> bool {
        STOP.load(Ordering::SeqCst)
    }

    /// What the next runs are for. Their number is not known beforehand: the bar gives way to a line.
    pub(super) fn next(&self, what: &str) {
        self.done();
        if self.visible {
            super::say::error(&format!("{what} …"));
        }
    }

    /// Takes the bar away.
    pub(super) fn done(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Watch {
    fn finished(&self, of: usize) {
        if !self.visible {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let bar = ProgressBar::new(of as u64);
            let style = "{bar:30} {pos}/{len} replications, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        });
        // Replications are added while a run goes on until it is precise.
        if bar.length().is_some_and(|length| length < of as u64) {
            bar.set_length(of as u64);
        }
        bar.inc(1);
    }

    fn stopped(&self) -> bool {
        Watch::interrupted()
    }
}

//! `headroom verify`: predictions beside the truth.

use super::args::{Shared, VerifyArgs};
use super::{Exit, verify_hpa};

/// Verifies what was asked for.
pub(super) fn command(args: &VerifyArgs, shared: &Shared) -> Exit {
    match &args.hpa {
        Some(file) => verify_hpa::command(file, args.format, shared),
        // The flag is required.
        None => Exit::Usage,
    }
}

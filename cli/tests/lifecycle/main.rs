//! The verbs that judge and remove, against a real API server, a populated cluster and a real operator.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod judged;
mod operator;
mod removal;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::run(&[
        (
            "without an operator nothing is verified and the preview judges by itself",
            verify::before_any_operator,
        ),
        (
            "a restricted cluster verifies, and a declared set renders as the operator stores it",
            verify::restricted,
        ),
        (
            "verify finds each planted hole by evaluation",
            verify::planted_holes,
        ),
        (
            "an extra allow of an administrator passes with a note",
            verify::extra_allow,
        ),
        (
            "an unlisted namespace without a set fails unless an exception holds",
            verify::exceptions,
        ),
        ("findings come as text, JSON and JUnit", verify::formats),
        (
            "cleanup is refused without the hold, against a living operator and where it would cut",
            removal::refused_cleanup,
        ),
        (
            "a downgrade is prepared only when every pod is proven open",
            removal::downgrade,
        ),
        (
            "cleanup removes denies first, allow-alls last, and leaves nothing",
            removal::cleanup,
        ),
        (
            "an unrestricted cluster verifies, and a missing allow-all is found",
            verify::unrestricted,
        ),
    ])
}

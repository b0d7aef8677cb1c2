//! Whole verbs against a real API server.

// This file has its own runner, so it does not count as a test for these lints.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod emergency;
mod mode;
mod namespaces;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::run(&[
        (
            "without definitions everybody is told what to install",
            mode::without_definitions,
        ),
        (
            "without definitions an emergency opens all and each policy carries the hold",
            emergency::emergency_without_definitions,
        ),
        (
            "an unreachable cluster is an error that says so",
            connection::unreachable,
        ),
        (
            "where Network has no such field the mode goes to SystemIsolation",
            mode::mode_on_unmodified_openshift,
        ),
        (
            "where Network has the field the mode goes there and is left in no other place",
            mode::mode_on_network,
        ),
        ("a removed mode is announced as meant", mode::unset),
        (
            "dry runs store nothing and preview every namespace",
            mode::dry_runs,
        ),
        (
            "waiting ends with a current status and never with a stale one",
            mode::waiting,
        ),
        (
            "a namespace is adopted and handed back, but never a forbidden one",
            namespaces::adoption,
        ),
        (
            "an override has a mode, an end and a reason, and is cleared",
            namespaces::overrides,
        ),
        (
            "status prints tables, objects and the next sensible command",
            namespaces::status,
        ),
        ("a watched status prints what changes", namespaces::watched_status),
        (
            "an emergency opens every system namespace and touches no other",
            emergency::emergency,
        ),
        (
            "an emergency evades a squatted name and restores an edited policy of ours",
            emergency::emergency_against_squatters,
        ),
        (
            "an emergency without the right to store the hold puts it on each policy",
            emergency::emergency_with_few_rights,
        ),
        (
            "the end of an emergency removes every hold and no policy",
            emergency::release,
        ),
        (
            "completion scripts, version and usage need no cluster",
            connection::without_cluster,
        ),
    ])
}

const ISOLATION: &str = "systemisolation.network.operator.openshift.io/cluster";

const NETWORK: &str = "network.operator.openshift.io/cluster";

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n")
}

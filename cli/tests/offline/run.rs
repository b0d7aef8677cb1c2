//! Runs the program on the fixtures.

// Helpers are no tests, though only tests call them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a command left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Fails unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// The folder of all fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Runs in the folder of the fixtures; arguments are separated by blanks.
pub fn bulkhead(arguments: &str) -> Run {
    with_input(arguments, "")
}

/// The same with something on standard input.
pub fn with_input(arguments: &str, input: &str) -> Run {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    run(&arguments, &fixtures(), input)
}

/// Runs anywhere. No cluster can be reached.
pub fn run(arguments: &[&str], folder: &Path, input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-bulkhead"))
        .args(arguments)
        .current_dir(folder)
        .env("KUBECONFIG", "/nonexistent")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The cells of a table, without its header.
pub fn rows(table: &str) -> Vec<Vec<&str>> {
    let cells = |line| {
        str::split(line, "   ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect()
    };
    table.lines().skip(1).map(cells).collect()
}

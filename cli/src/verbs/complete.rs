//! What `kubectl` completes after `kubectl bulkhead`: it asks a program of its own, `kubectl_complete-bulkhead`,
//! and reads the answer as cobra gives it (kubernetes/kubernetes#105867).

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use clap::{Arg, Args, Command, CommandFactory as _};

use crate::Outcome;
use crate::args::Cli;
use crate::session::Session;

/// Arguments of `complete`.
#[derive(Clone, Debug, Args)]
pub struct CompleteArgs {
    /// The command line after "kubectl bulkhead"; the last word is the one to complete
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Nothing but what is listed.
const NO_FILES: &str = ":4";
/// Files may follow, too.
const FILES: &str = ":0";

/// Whether the program was called under the name that kubectl looks for, for example through a link.
pub fn is_asked(argv0: Option<&OsString>) -> bool {
    let file = argv0.map(Path::new).and_then(Path::file_name);
    file.is_some_and(|name| name.to_string_lossy().contains("_complete-"))
}

/// Answers.
pub fn run(args: &CompleteArgs, session: &Session) -> Result<Outcome> {
    session.print(&answer(&args.words))?;
    Ok(Outcome::Success)
}

/// One candidate in each line, with what it is for behind a tab; the last line says what else may follow.
pub fn answer(words: &[String]) -> String {
    let mut root = Cli::command();
    root.build();
    let (partial, before) = words
        .split_last()
        .map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut command = &root;
    let mut awaiting: Option<&Arg> = None;
    for word in before {
        awaiting = match (awaiting, word.starts_with('-')) {
            (Some(_), _) => None,
            (None, true) => option(command, word).filter(|arg| takes_value(arg) && !word.contains('=')),
            (None, false) => {
                command = command.find_subcommand(word).unwrap_or(command);
                None
            }
        };
    }
    let (candidates, last) = match awaiting {
        Some(arg) => values(arg),
        None if partial.starts_with('-') => match partial.split_once('=') {
            Some((name, _)) => {
                let (found, last) = option(command, name).map_or((Vec::new(), NO_FILES), values);
                (
                    found
                        .into_iter()
                        .map(|(value, help)| (format!("{name}={value}"), help))
                        .collect(),
                    last,
                )
            }
            None => (flags(command), NO_FILES),
        },
        None => words_of(command),
    };
    let fitting = candidates
        .into_iter()
        .filter(|(word, _)| word.starts_with(partial));
    let lines = fitting.map(|(word, help)| {
        if help.is_empty() {
            word
        } else {
            format!("{word}\t{help}")
        }
    });
    lines.chain([last.to_owned()]).collect::<Vec<_>>().join("\n")
}

type Candidates = (Vec<(String, String)>, &'static str);

fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.split('=').next().unwrap_or(word);
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg
            .get_short()
            .is_some_and(|short| name.strip_prefix('-') == Some(short.to_string().as_str())),
    })
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn values(arg: &Arg) -> Candidates {
    let possible = arg.get_possible_values();
    let candidates = possible.iter().filter(|v| !v.is_hide_set());
    let candidates: Vec<_> = candidates
        .map(|v| {
            (
                v.get_name().to_owned(),
                v.get_help().map(ToString::to_string).unwrap_or_default(),
            )
        })
        .collect();
    let last = if candidates.is_empty() { FILES } else { NO_FILES };
    (candidates, last)
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let flag = |arg: &Arg| Some((format!("--{}", arg.get_long()?), first_line(arg.get_help())));
    shown.filter_map(flag).collect()
}

/// Verbs, or the values of the first argument that has some.
fn words_of(command: &Command) -> Candidates {
    let verbs: Vec<_> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(|verb| (verb.get_name().to_owned(), first_line(verb.get_about())))
        .collect();
    if !verbs.is_empty() {
        return (verbs, NO_FILES);
    }
    let (found, _) = command
        .get_positionals()
        .map(values)
        .find(|(found, _)| !found.is_empty())
        .unwrap_or_default();
    (found, NO_FILES)
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|t| t.to_string().lines().next().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        answer(&words).lines().map(str::to_owned).collect()
    }

    #[test]
    fn verbs_flags_and_values_are_completed_and_the_last_line_says_what_else_may_follow() {
        let verbs = asked(&["can"]);
        assert_eq!(verbs.len(), 2);
        assert!(
            verbs[0].starts_with("can-connect\t") && verbs[1] == ":4",
            "{verbs:?}"
        );
        let flags = asked(&["status", "--out"]);
        assert!(flags[0].starts_with("--output\t"), "{flags:?}");
        assert_eq!(
            asked(&["connectivity", "-o", "js"])[0].split('\t').next(),
            Some("json")
        );
        assert_eq!(
            asked(&["connectivity", "--output=mer"])[0].split('\t').next(),
            Some("--output=mermaid")
        );
        assert_eq!(asked(&["mode", "Res"])[0].split('\t').next(), Some("Restricted"));
        assert_eq!(asked(&["lint", "-f", ""]), [":0"], "a file");
        assert!(
            !asked(&[""]).iter().any(|line| line.starts_with("complete")),
            "hidden verbs stay hidden"
        );
    }
}

//! Habits that kubectl's users bring along.

use std::path::PathBuf;

use crate::run::{bulkhead, run, with_input};

#[test]
fn failures_of_judging_verbs_are_told_from_findings_by_exit_code() {
    for verb in [
        "can-connect a",
        "coverage --nonsense",
        "diff a",
        "lint --nonsense",
        "order",
        "upgrade-check",
        "vnid-groups --nonsense",
    ] {
        bulkhead(verb).exits(2);
    }
    bulkhead("explain a").exits(1);
}

#[test]
fn without_files_the_cluster_is_asked_and_what_is_missing_is_said() {
    let run = bulkhead("coverage").exits(2);
    assert!(run.err.starts_with("error: no cluster to talk to"), "{run:?}");
}

#[test]
fn colours_are_for_terminals_only() {
    let plain = bulkhead("can-connect tenant/guest shop/api -p 1 -f shop").exits(1);
    assert!(!plain.out.contains('\x1b'), "{plain:?}");
    let colored = bulkhead("can-connect tenant/guest shop/api -p 1 -f shop --color always").exits(1);
    assert!(colored.out.contains("\x1b[31mDenied\x1b[0m"), "{colored:?}");
}

#[test]
fn standard_input_is_a_file_too() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelector: {}}\n";
    let run = with_input("lint -f - -n shop", policy).exits(1);
    assert!(
        run.out.contains("<stdin>:4: warning: shop/x spec.policyTypes"),
        "{run:?}"
    );
}

#[test]
fn manual_pages_are_written_for_every_verb() {
    let folder: PathBuf = std::env::temp_dir().join(format!("kubectl-bulkhead-man-{}", std::process::id()));
    bulkhead(&format!("man {}", folder.display())).exits(0);
    let page = std::fs::read_to_string(folder.join("kubectl-bulkhead-can-connect.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("Exit codes"), "{page}");
    assert!(folder.join("kubectl-bulkhead.1").is_file());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn kubectl_completes_through_a_program_of_its_own() {
    let script = bulkhead("completion kubectl").exits(0).out;
    assert!(
        script.starts_with("#!/bin/sh\n") && script.contains("exec kubectl-bulkhead complete -- \"$@\""),
        "{script}"
    );
    let folder = std::env::temp_dir().join(format!("kubectl-complete-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("kubectl_complete-bulkhead");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-bulkhead"), &link).unwrap();
    let output = std::process::Command::new(&link)
        .args(["connectivity", "-o", "mer"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "mermaid\tA graph for mermaid\n:4\n"
    );
    std::fs::remove_dir_all(folder).unwrap();
    let direct = run(&["complete", "--", "up"], &std::env::temp_dir(), "");
    assert!(
        direct.out.starts_with("upgrade-check\t") && direct.out.ends_with(":4\n"),
        "{direct:?}"
    );
}

#[test]
fn every_verb_has_a_row_in_the_guide_or_a_section_in_the_reference() {
    let help = bulkhead("--help").exits(0).out;
    let reference = include_str!("../../../docs/reference/cli.md");
    let guide = include_str!("../../../docs/user-guide.md");
    let verbs = help
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty());
    let mut found = 0;
    for verb in verbs
        .filter_map(|line| line.split_whitespace().next())
        .filter(|v| *v != "version")
    {
        let section = reference.contains(&format!("\n## {verb}\n"));
        let row = guide.contains(&format!("| `{verb}"));
        assert!(section || row, "{verb} is told of nowhere");
        found += 1;
    }
    assert!(found > 18, "only {found} verbs were found: {help}");
}

#[test]
fn input_without_any_object_is_a_failure_and_never_an_answer() {
    for verb in [
        "connectivity",
        "coverage",
        "lint",
        "plan Restricted",
        "vnid-groups",
        "can-connect a b",
        "diff --mode Restricted",
    ] {
        let run = with_input(&format!("{verb} -f -"), "# nothing\n---\n");
        assert!(
            run.code != 0 && run.err.contains("no object was read from -"),
            "{verb}: {run:?}"
        );
    }
}

#[test]
fn nonsense_in_valid_documents_is_told_with_its_line_and_what_is_meant_is_read() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: n}\nstatus: {podIP: nowhere}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: n}\nstatus: {podIP: 'fd00::1'}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: n}\nstatus: {podIP: nowhere}\n---\napiVersion: v1\nkind: List\nitems: nonsense\n";
    let run = with_input("can-connect fd00::1 n/b -p 1 -f -", text).exits(0);
    assert!(run.out.contains("n/pod/a"), "the last one counts: {run:?}");
    for told in [
        "warning: <stdin>:14: Pod n/b: \"nowhere\" is no address",
        "warning: <stdin>:18: a List whose items are no list",
        "given more than once, the last one counts: Pod n/a",
    ] {
        assert!(run.err.contains(told), "{told}: {run:?}");
    }
}

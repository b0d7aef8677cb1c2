//! `diff` and `order`.

use std::process::Command;

use crate::run::{bulkhead, fixtures, rows, run};

#[test]
fn two_directories_differ_in_these_connections_and_workloads() {
    let run = bulkhead("diff shop shop-next").exits(1);
    let expected = [
        ["Lost", "shop/deployment/web", "shop/deployment/api", "TCP/8443"],
        ["Gained", "shop/deployment/web", "shop/deployment/api", "TCP/9443"],
        ["Gained", "tenant/pod/guest", "shop/deployment/web", "TCP/8080"],
    ];
    assert_eq!(rows(&run.out), expected);
    assert!(
        run.err.contains("workloads only before: shop/statefulset/db"),
        "{run:?}"
    );
    let json = bulkhead("diff shop shop-next -o json").exits(1).json();
    assert_eq!(json["removed"][0], "shop/statefulset/db");
    assert_eq!(json["changes"].as_array().unwrap().len(), 2);
    let csv = bulkhead("diff shop shop-next -o csv").exits(1).out;
    assert!(
        csv.contains("shop/deployment/web,shop/deployment/api,TCP/8443,TCP/9443\n"),
        "{csv}"
    );
    let markdown = bulkhead("diff shop shop-next -o markdown").exits(1).out;
    assert!(
        markdown.contains("| Lost | shop/deployment/web | shop/deployment/api | TCP/8443 |"),
        "{markdown}"
    );
}

#[test]
fn equal_states_do_not_differ_and_unreadable_ones_fail() {
    let run = bulkhead("diff shop shop").exits(0);
    assert!(run.out.is_empty(), "{run:?}");
    bulkhead("diff shop nowhere").exits(2);
    let alone = bulkhead("diff shop").exits(2);
    assert!(alone.err.contains("required"), "{alone:?}");
    let neither = bulkhead("diff -f shop").exits(2);
    assert!(
        neither.err.contains("name two states, or a --mode"),
        "{neither:?}"
    );
}

#[test]
fn revisions_of_git_are_states_too() {
    let folder = std::env::temp_dir().join(format!("kubectl-bulkhead-git-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let git = |arguments: &[&str]| {
        let run = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
    };
    std::fs::create_dir(folder.join("deploy")).unwrap();
    for file in ["workloads.yaml", "policies.yaml"] {
        std::fs::copy(
            fixtures().join("shop").join(file),
            folder.join("deploy").join(file),
        )
        .unwrap();
    }
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    let same = run(&["diff", "git:HEAD:deploy", "deploy"], &folder, "");
    assert_eq!(same.code, 0, "{same:?}");
    std::fs::copy(
        fixtures().join("shop-next/policies.yaml"),
        folder.join("deploy/policies.yaml"),
    )
    .unwrap();
    let changed = run(&["diff", "git:HEAD:deploy", "deploy"], &folder, "");
    assert_eq!((changed.code, rows(&changed.out).len()), (1, 3), "{changed:?}");
    let unknown = run(&["diff", "git:nowhere", "deploy"], &folder, "");
    assert!(
        unknown.code == 2 && unknown.err.contains("git ls-tree"),
        "{unknown:?}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_deny_before_its_allow_is_the_worst_point_and_the_safe_order_is_told() {
    let run = bulkhead("order -f order/start.yaml --writer order/deny.yaml,order/allow.yaml").exits(1);
    assert!(
        run.out
            .starts_with("Worst point: after write 1 of 2 (write shop/deny).\n"),
        "{run:?}"
    );
    assert!(
        run.out
            .contains("shop/pod/web   1      Ingress     every pod in any namespace on TCP/8080\n"),
        "{run:?}"
    );
    assert!(
        run.out.ends_with("  1. write shop/allow\n  2. write shop/deny\n"),
        "{run:?}"
    );
    let safe = bulkhead("order -f order/start.yaml --writer order/allow.yaml,order/deny.yaml").exits(0);
    assert_eq!(safe.out, "Nothing breaks, however the writes interleave.\n");
}

#[test]
fn writers_that_know_nothing_of_each_other_break_it_in_some_interleaving() {
    let run =
        bulkhead("order -f order/start.yaml --writer order/deny.yaml --writer order/allow.yaml -o json")
            .exits(1);
    let json = run.json();
    assert_eq!(json["worst"]["done"], serde_json::json!([1, 0]));
    assert_eq!(
        json["safeOrder"],
        serde_json::json!(["write shop/allow", "write shop/deny"])
    );
    assert_eq!(json["exhaustive"], true);
}

#[test]
fn deleting_and_creating_again_has_no_safe_order() {
    let run = bulkhead("order -f order --writer delete=order/allow.yaml,order/allow.yaml").exits(1);
    assert!(
        run.out.contains("No order of these writes keeps everything"),
        "{run:?}"
    );
    let nothing = bulkhead("order -f order --writer order/start.yaml").exits(2);
    assert!(nothing.err.contains("writes no NetworkPolicy"), "{nothing:?}");
}

//! No cluster, or one that does not answer.

use crate::support::Cluster;

pub fn unreachable(cluster: &Cluster) {
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let (before, after) = text.split_once("server: https://127.0.0.1:").unwrap();
    let rest = after.split_once('\n').unwrap().1;
    let path = cluster.kubeconfig().with_file_name("dead-kubeconfig");
    std::fs::write(&path, format!("{before}server: https://127.0.0.1:1\n{rest}")).unwrap();
    let run = cluster
        .bulkhead(&format!("status --kubeconfig {}", path.display()))
        .exits(1);
    assert!(run.err.contains("cannot reach the API server"), "{run:?}");
    let run = cluster.bulkhead("status --context nowhere").exits(1);
    assert!(run.err.contains("nowhere"), "{run:?}");
}

pub fn without_cluster(cluster: &Cluster) {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            cluster
                .bulkhead(&format!("completion {shell}"))
                .exits(0)
                .out
                .contains("unrestrict")
        );
    }
    assert!(
        cluster
            .bulkhead("version")
            .exits(0)
            .out
            .starts_with("kubectl bulkhead 0.")
    );
    assert!(
        cluster
            .bulkhead("--help")
            .exits(0)
            .out
            .contains("Usage: kubectl bulkhead")
    );
    cluster.bulkhead("nonsense").exits(1);
}

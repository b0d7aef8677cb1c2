//! The operator as a process, and what it says about itself.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How operators are started.
pub struct Launcher {
    /// The cluster.
    pub kubeconfig: PathBuf,
    /// Their catalog.
    pub catalog: PathBuf,
}

/// A running operator; dropping it kills it.
pub struct Operator {
    child: Child,
    address: String,
}

impl Launcher {
    /// Starts one and waits until it watches everything.
    pub fn start(&self) -> Operator {
        // Asked for and given back at once; the operator takes it next.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_bulkhead-operator"))
            .args(["--settle-time", "1s", "--log-level", "error"])
            .args(["--metrics-address", &address])
            .args(["--leader-election-namespace", "default"])
            .args(["--leader-election-lease-duration", LEASE])
            .args(["--leader-election-renew-deadline", "10s"])
            .args(["--leader-election-retry-period", "500ms"])
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--catalog-dir")
            .arg(&self.catalog)
            // As manifests/base sets them.
            .envs([
                ("MALLOC_ARENA_MAX", "1"),
                ("MALLOC_TRIM_THRESHOLD_", "131072"),
                ("MALLOC_MMAP_THRESHOLD_", "65536"),
            ])
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let operator = Operator { child, address };
        let deadline = Instant::now() + Duration::from_mins(2);
        while !operator.get("/readyz").starts_with("HTTP/1.1 200") {
            assert!(
                Instant::now() < deadline,
                "the operator is not ready: {}",
                operator.get("/readyz")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        operator
    }
}

/// How long others leave its Lease alone.
pub const LEASE: &str = "15s";

impl Operator {
    /// Writes that it made, the Lease excepted.
    pub fn writes(&self) -> u64 {
        self.requests(&["create", "patch", "patch_status", "delete", "replace_status"])
    }

    /// Requests with one of these verbs, counted by the operator itself.
    pub fn requests(&self, verbs: &[&str]) -> u64 {
        let text = self.get("/metrics");
        let lines = text
            .lines()
            .filter(|l| l.starts_with("bulkhead_api_requests_total{"));
        let ours = lines.filter(|l| verbs.iter().any(|v| l.contains(&format!("verb=\"{v}\""))));
        ours.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Whether it holds the Lease.
    pub fn leads(&self) -> bool {
        self.get("/metrics").lines().any(|l| l == "bulkhead_leader 1")
    }

    /// Resident memory in MiB.
    pub fn resident(&self) -> f64 {
        let file = Path::new("/proc")
            .join(self.child.id().to_string())
            .join("status");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
        let kib: f64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        kib / 1024.0
    }

    fn get(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let mut text = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(&self.address) {
            let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
            if stream.write_all(request.as_bytes()).is_ok() {
                let _ = stream.read_to_string(&mut text);
            }
        }
        text
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

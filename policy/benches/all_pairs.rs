//! All pairs of generated clusters: `cargo bench -p bulkhead-policy`.
//!
//! Printed are wall time and memory from ready-made values, so parsing is not in it; nothing is asserted.
#![allow(missing_docs, clippy::unwrap_used)]

mod shapes;

use std::time::Instant;

use bulkhead_policy::{Cluster, Policy};
use shapes::{SHAPES, Shape, cluster, cpu, memory};

fn measure(shape: &Shape) {
    let (world, pods, policies) = cluster(shape);
    let input = memory("VmRSS");
    let refs: Vec<&Policy> = policies.iter().collect();
    let (mut best, mut least) = (f64::INFINITY, f64::INFINITY);
    let mut line = String::new();
    let mut peak = f64::NAN;
    for round in 0..3 {
        let (start, worked) = (Instant::now(), cpu());
        let cluster = Cluster::new(&world, &pods, &refs);
        best = best.min(start.elapsed().as_secs_f64());
        least = least.min(cpu() - worked);
        // What later rounds leave between the pieces is the benchmark's own doing.
        if round == 0 {
            peak = memory("VmHWM");
        }
        line = format!(
            "{:>9} {:>9} {:>10}",
            cluster.ends().classes(),
            policies.len(),
            cluster.len()
        );
    }
    println!(
        "{:<38} {line} {best:>9.3} s {least:>7.2} s {input:>7.0} MB {peak:>7.0} MB",
        shape.name
    );
}

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let Some(only) = only else {
        println!(
            "{:<38} {:>9} {:>9} {:>10} {:>11} {:>9} {:>10} {:>10}",
            "cluster", "classes", "policies", "blocks", "all pairs", "cpu", "input", "peak"
        );
        for at in 0..SHAPES.len() {
            // Each in its own process: peak memory never falls.
            let this = std::env::current_exe().unwrap();
            std::process::Command::new(this)
                .arg(at.to_string())
                .status()
                .unwrap();
        }
        return;
    };
    measure(&SHAPES[only.parse::<usize>().unwrap()]);
}

//! Operand bundles: they come, follow their operands, conflict with others, and go.

mod crashes;
mod following;
mod life_cycle;
mod namespaces;
mod others;
mod setting;

use std::process::ExitCode;

use bulkhead_e2e::suite::Suite;

fn main() -> ExitCode {
    Suite::default()
        .scenario(
            "all bundles are installed, edited and removed",
            life_cycle::life_cycle,
        )
        .scenario(
            "components and entries follow the operand's own object",
            following::components,
        )
        .scenario("policies that others delete, edit or keep", others::others)
        .scenario(
            "operands and their kinds arrive and leave while the operator runs",
            following::late_kinds,
        )
        .scenario(
            "namespaces change, and a bundle is deleted while nobody runs",
            namespaces::namespaces,
        )
        .scenario(
            "the switch hands a namespace to a bundle and takes it back",
            namespaces::system_namespace,
        )
        .scenario(
            "a crash at any write of installing and removing loses nothing",
            crashes::crashes,
        )
        .scenario("five crashes at random writes lose nothing", || {
            crashes::random(5)
        })
        .long("fifty crashes at random writes lose nothing", || {
            crashes::random(50)
        })
        .run()
}

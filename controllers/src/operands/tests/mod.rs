//! Truth tables, judged by the engine, and what discovery makes of objects. Tests whose names begin with an id
//! are about that row of facts: operands.md section 2.

#![allow(clippy::needless_pass_by_value)]

mod architecture;
mod cert_manager;
mod common;
mod discovery;
mod external_secrets;
mod foreign;
mod grpc;
mod order;
mod plan;
mod support;
mod ztwim;

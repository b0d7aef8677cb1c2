//! The catalog in `manifests/catalog`, judged by the facts about OpenShift's namespaces. The facts are read
//! here on their own: nothing of the catalog is taken for granted.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod destinations;
mod entries;
mod facts;
mod groups;
mod ingress;
mod labels;
mod model;
mod parse;
mod peers;
mod shape;
mod traps;

//! Tests with real packets: pods that wear the labels, ports and namespaces of OpenShift's components open real
//! connections, and what the kernel lets through is compared with what the facts demand and with what the policy
//! engine predicts.
//!
//! - [`cast`] says who plays, [`stage`] puts them into a cluster, [`exec`] asks them;
//! - [`truth`] and [`bundles`] say from facts who must and must not get through, [`predict`] what the policy engine
//!   expects of the policies that are stored, [`table`] compares both with the kernel, cell by cell;
//! - [`flows`] keeps probing what is required while something happens, and [`works`] has real operands do their work;
//! - [`ground`] is the cluster and who may be started on it, [`junit`] the report;
//! - [`jobs`] are the tests themselves.

pub mod bundles;
pub mod cast;
pub mod exec;
pub mod flows;
pub mod ground;
pub mod jobs;
pub mod junit;
pub mod predict;
pub mod stage;
pub mod table;
pub mod truth;
pub mod works;

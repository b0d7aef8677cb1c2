//! End-to-end tests: a harness around real processes, and the independent checker that judges them.

pub mod admin;
pub mod audit;
pub mod catalog;
pub mod checker;
pub mod cluster;
pub mod etcd;
pub mod lab;
pub mod operands;
pub mod operator;
pub mod packets;
pub mod suite;
pub mod wait;

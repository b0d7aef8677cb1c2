//! The Bulkhead operator: observe, decide, plan, apply, report.

pub mod apply;
pub mod catalog;
pub mod controller;
pub mod decide;
pub mod observe;
pub mod operands;
pub mod operator;
pub mod plan;
pub mod report;
pub mod runtime;

//! The planner against a model of a cluster: every stored revision is judged, under every mix of the versions
//! that objects had during the last settle time, by an evaluator that shares nothing with the product.
//!
//! `BULKHEAD_CASES` sets the number of random histories (default in `properties`), `PROPTEST_RNG_SEED` or the
//! seed that a failure prints repeats one of them.

mod brute;
mod checker;
mod executor;
mod judge;
mod model;
mod operator;
mod properties;
mod run;
mod scenarios;
mod shapes;

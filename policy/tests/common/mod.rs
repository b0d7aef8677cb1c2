//! Shared by the test binaries: a brute-force evaluator and generators of random input.
// Each test binary uses a part of it; a failed unwrap is a failed test.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod brute;
pub mod random;
pub mod scene;
pub mod tiers;

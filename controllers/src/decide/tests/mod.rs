//! Decisions by table.

mod config;
mod mode;
mod render;
mod set;
mod validate;

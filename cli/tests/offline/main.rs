//! The analysing verbs on files, with exact answers. No cluster is needed.

mod compare;
mod connect;
mod habits;
mod lint;
mod matrix;
mod operands;
mod page;
mod run;
mod switch;
mod upgrade;

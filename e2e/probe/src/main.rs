//! `bulkhead-probe`.

use std::process::ExitCode;

use bulkhead_probe::args::{self, Command};
use bulkhead_probe::{agent, ask};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args().skip(1)) {
        Err(error) => {
            eprint!("error: {error}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
        Ok(Command::Help) => {
            print!("{}", args::USAGE);
            Ok(())
        }
        Ok(Command::Agent(agent)) => agent::run(&agent).await,
        Ok(Command::Ask { socket, request }) => ask::run(&socket, request.as_deref()).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

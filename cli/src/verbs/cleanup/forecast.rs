//! What applies in a namespace once nothing of ours is left in it.

use std::sync::Arc;

use bulkhead_controllers::decide::Decision;
use bulkhead_controllers::plan::{View, judge};
use bulkhead_policy::{Direction, Window};

use crate::output::table::{Cell, Style, Table};

/// What policies of others do once they stand alone.
pub struct Forecast {
    /// The namespace.
    pub namespace: Arc<str>,
    /// Pods that they isolate, with the direction.
    pub isolated: Vec<String>,
    /// Connections that are declared as required and that they deny.
    pub denied: Vec<String>,
}

impl Forecast {
    /// Judges policies of others alone, as the operator does before it hands a namespace back.
    pub fn of(view: &View<'_>) -> Self {
        let theirs = Window::settled(view.foreign.iter().map(|p| p.policy.clone()));
        let pods = view.input.pods.iter().filter(|member| member.counts());
        let isolated = pods.flat_map(|member| {
            let isolates = |direction: &Direction| theirs.surely_isolates(&member.pod, *direction);
            let named = |direction| format!("{} ({direction})", member.pod.name);
            Direction::ALL
                .into_iter()
                .filter(isolates)
                .map(named)
                .collect::<Vec<_>>()
        });
        Self {
            namespace: view.input.name.clone(),
            isolated: isolated.collect(),
            denied: judge(view, Decision::HandBack).narrowed,
        }
    }
}

/// All forecasts.
pub fn table(forecasts: &[Forecast], colored: bool) -> String {
    let mut table = Table::new(&["NAMESPACE", "THEN", "DETAIL"], colored);
    for forecast in forecasts {
        let (then, style, detail) = match (forecast.isolated.is_empty(), forecast.denied.is_empty()) {
            (true, _) => ("Open", Style::Good, "nothing isolates its pods".to_owned()),
            (false, true) => (
                "AsShipped",
                Style::Plain,
                format!("policies of others isolate {}", few(&forecast.isolated)),
            ),
            (false, false) => (
                "Denies",
                Style::Bad,
                format!(
                    "policies of others deny what is required: {}",
                    few(&forecast.denied)
                ),
            ),
        };
        table.row(vec![
            forecast.namespace.to_string().into(),
            Cell::styled(then, style),
            detail.into(),
        ]);
    }
    table.render()
}

/// The first one and how many more: enough for a line.
fn few(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

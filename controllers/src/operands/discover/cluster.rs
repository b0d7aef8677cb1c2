//! The ports of the API server.

use super::{Objects, Source, json};
use crate::decide::{Platform, platform::DEFAULT_API_PORT};

/// The platform with every port on which the API server may be reached after Service translation: those that
/// its EndpointSlices name, those already known, and 6443.
pub fn platform(objects: &Objects, known: &Platform) -> Platform {
    let slices = objects.of(Source::EndpointSlice).iter().filter(|slice| {
        json::namespace(slice) == "default"
            && json::at(slice, "/metadata/labels").and_then(|l| l.get("kubernetes.io/service-name")?.as_str())
                == Some("kubernetes")
    });
    let found = slices
        .flat_map(|slice| json::list(slice, "/ports"))
        .filter_map(|port| json::port(port, "/port"));
    let mut api_ports: Vec<u16> = found.chain(known.api_ports.iter().copied()).collect();
    api_ports.push(DEFAULT_API_PORT);
    api_ports.sort_unstable();
    api_ports.dedup();
    Platform {
        api_ports,
        ..known.clone()
    }
}

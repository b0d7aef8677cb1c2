//! Ports of URLs that people wrote.

/// The TCP port of an http or https URL; `None` when it is malformed. The URL may hold credentials, so callers
/// must not repeat it.
pub fn port(text: &str) -> Option<u16> {
    let uri: http::Uri = text.trim().parse().ok()?;
    let default = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = uri.authority().filter(|a| !a.host().is_empty())?;
    // A port that is no port number reads as absent, which would silently become the default.
    let after_host = authority.as_str().rsplit('@').next()?;
    let explicit = after_host.strip_prefix(authority.host()).unwrap_or_default();
    match explicit.strip_prefix(':') {
        None | Some("") => Some(default),
        Some(number) => number.parse().ok().filter(|n| *n > 0),
    }
}

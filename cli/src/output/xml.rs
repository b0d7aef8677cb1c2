//! Text in XML 1.0.

/// Escapes markup and line ends, and replaces characters that XML cannot hold.
pub fn escape(text: &str) -> String {
    let held = text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    // A line end in an attribute would be read as a space.
    quick_xml::escape::escape(held).replace('\n', "&#10;")
}

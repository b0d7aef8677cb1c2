//! The only place that mentions `serde_yaml`, which is no longer maintained: swapping it is a change here.

use serde::{Serialize, de::DeserializeOwned};

/// Why a YAML text could not be read or written; the text names line and column where it can.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct YamlError {
    text: String,
    line: Option<usize>,
}

impl YamlError {
    /// The line of the fault, counted from 1, where it is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong, without the position.
    pub fn reason(&self) -> &str {
        self.text.split(" at line ").next().unwrap_or(&self.text)
    }
}

impl From<serde_yaml::Error> for YamlError {
    fn from(error: serde_yaml::Error) -> Self {
        Self {
            line: error.location().map(|at| at.line()),
            text: error.to_string(),
        }
    }
}

/// Reads one document.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    Ok(serde_yaml::from_str(text)?)
}

/// Reads every document of a stream; empty documents are passed over.
pub fn documents(text: &str) -> Result<Vec<serde_json::Value>, YamlError> {
    let documents = serde_yaml::Deserializer::from_str(text)
        .map(<serde_json::Value as serde::Deserialize>::deserialize)
        .filter(|doc| !matches!(doc, Ok(serde_json::Value::Null)))
        .collect::<Result<_, _>>()?;
    Ok(documents)
}

/// Writes one document. Text that YAML 1.1 readers would take for a boolean or a number is quoted by
/// `serde_yaml` except for `on`, `off`, `y`, `n`, `yes` and `no`, which no name or label of ours uses.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    Ok(serde_yaml::to_string(value)?)
}

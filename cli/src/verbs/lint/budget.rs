//! How many findings of which severity are allowed.

use std::str::FromStr;

use bulkhead_policy::lint::Severity;

use super::word;

const ALL: [Severity; 3] = [Severity::Error, Severity::Warning, Severity::Info];

/// The most findings of each severity; `None`: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget([Option<usize>; 3]);

impl Budget {
    /// Whether the findings are within it.
    pub fn holds(&self, counted: impl Fn(Severity) -> usize) -> bool {
        ALL.into_iter()
            .zip(self.0)
            .all(|(severity, most)| most.is_none_or(|most| counted(severity) <= most))
    }
}

impl FromStr for Budget {
    type Err = String;

    /// Reads `warning`, `error=0,warning=10` or `none`. A severity without a number also stands for all worse
    /// ones that are not named.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut budget = Self::default();
        if text == "none" {
            return Ok(budget);
        }
        for part in text.split(',') {
            let (name, number) = part
                .split_once('=')
                .map_or((part, None), |(name, number)| (name, Some(number)));
            let at = ALL.iter().position(|severity| word(*severity) == name);
            let at =
                at.ok_or_else(|| format!("'{name}' is no severity: write error, warning, info or none"))?;
            match number {
                Some(number) => {
                    budget.0[at] = Some(
                        number
                            .parse()
                            .map_err(|_| format!("'{number}' is no number of findings"))?,
                    );
                }
                None => budget.0[..=at]
                    .iter_mut()
                    .for_each(|most| *most = most.or(Some(0))),
            }
        }
        Ok(budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(budget: &str, errors: usize, warnings: usize, infos: usize) -> bool {
        let budget: Budget = budget.parse().unwrap();
        budget.holds(|severity| match severity {
            Severity::Error => errors,
            Severity::Warning => warnings,
            Severity::Info => infos,
        })
    }

    #[test]
    fn a_severity_alone_stands_for_all_worse_ones() {
        assert!(holds("warning", 0, 0, 9));
        assert!(!holds("warning", 1, 0, 0) && !holds("warning", 0, 1, 0));
        assert!(holds("error", 0, 9, 9) && !holds("info", 0, 0, 1));
        assert!(holds("none", 9, 9, 9));
    }

    #[test]
    fn numbers_allow_some() {
        assert!(holds("error=0,warning=2", 0, 2, 9));
        assert!(!holds("error=0,warning=2", 0, 3, 0) && !holds("error=0,warning=2", 1, 0, 0));
        assert!(
            holds("error=1,warning", 1, 0, 0),
            "what is named keeps its number"
        );
        for bad in ["fatal", "error=x", ""] {
            assert!(bad.parse::<Budget>().is_err(), "{bad}");
        }
    }
}

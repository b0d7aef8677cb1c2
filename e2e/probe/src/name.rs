//! Questions to a name server (RFC 1035).

use std::sync::atomic::{AtomicU16, Ordering};

use crate::message::Failure;

/// A name that every cluster's DNS knows by its default domain; others answer that there is none, which will do.
const NAME: [&str; 5] = ["kubernetes", "default", "svc", "cluster", "local"];

/// A question with a number of its own.
pub fn question() -> Vec<u8> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let mut text = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec();
    // Recursion wanted; one question, no records.
    text.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in NAME {
        text.push(u8::try_from(label.len()).unwrap_or_default());
        text.extend(label.as_bytes());
    }
    // End of the name, type A, class IN.
    text.extend([0, 0, 1, 0, 1]);
    text
}

/// Whether this answers the question, whatever the answer is.
pub fn answers(question: &[u8], answer: &[u8]) -> Result<(), Failure> {
    let is_response = answer.get(2).is_some_and(|flags| flags & 0x80 != 0);
    if is_response && answer.get(..2) == question.get(..2) {
        Ok(())
    } else {
        Err(Failure::Garbled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_bears_the_number_of_its_question() {
        let (first, second) = (question(), question());
        assert_eq!(first.len(), 12 + 38 + 4);
        let mut answer = first.clone();
        assert!(answers(&first, &answer).is_err(), "a question is no answer");
        if let Some(flags) = answer.get_mut(2) {
            *flags |= 0x80;
        }
        assert!(answers(&first, &answer).is_ok() && answers(&second, &answer).is_err());
    }
}

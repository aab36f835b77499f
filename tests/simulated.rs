//! Other people's servers, played by the test kit: what they hold, what they say, and how they fail.

pub mod ado;
pub mod kubernetes;
pub mod oracle;

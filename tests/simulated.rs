//! Other people's servers, played by the test kit: what they hold, what they say, and how they fail.

mod ado;
pub mod kubernetes;

//! May this key go on? Requests and tokens a minute, requests at a time and dollars a day, counted per key.

mod account;
mod accounts;
mod cost;
mod day;
mod drawn;
mod rate;
mod refusal;
mod standing;

pub use account::{AccountView, Admission};
pub use accounts::{Accounts, Holder};
pub use cost::usd;
pub use refusal::{Limit, Refusal};
pub use standing::{Standing, Window};

//! Where does a request for this model go, and under which name?

mod describe;
mod models;
mod name;
mod route;
mod table;
mod wildcard;

pub use describe::{Description, Way};
pub use models::{Model, ModelList, Page};
pub use route::{DirectModel, Route, Rule, Upstream};
pub use table::{ListedModel, RouteTable};
pub use wildcard::qualified;

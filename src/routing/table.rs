//! Which entry of the model list does a name mean?
//!
//! In this order, LiteLLM's but for the date: an exact `model_name` that is also a deployment's id counts as
//! the name; deployment id; alias (one hop); exact name; the alias or exact name without a trailing
//! `-YYYYMMDD`; wildcards, longest first, `*` last. An entry without the date thus beats a wildcard: whoever
//! wrote the entry meant that model, a wildcard means the rest. Betas (`name,beta1`) are split off before.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Deployment, Models};

use super::name::{Asked, undated};
use super::route::{DirectModel, Route, Rule, Upstream};
use super::wildcard::{Match, Wildcards};

/// The model list, indexed for lookup.
pub struct RouteTable {
    groups: Vec<Arc<Group>>,
    exact: HashMap<Arc<str>, Arc<Group>>,
    ids: HashMap<Arc<str>, Arc<Group>>,
    aliases: HashMap<Arc<str>, Arc<str>>,
    wildcards: Wildcards,
    direct: Vec<Arc<DirectModel>>,
    listed: Vec<ListedModel>,
}

/// A name for `/v1/models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedModel {
    pub name: Arc<str>,
    /// Some deployment of it is called by the gateway itself.
    pub direct: bool,
}

/// The deployments that share a `model_name`.
pub(super) struct Group {
    pub name: Arc<str>,
    pub members: Vec<Member>,
}

#[derive(Clone)]
pub(super) struct Member {
    weight: u32,
    pub model: String,
    pub direct: Option<Arc<DirectModel>>,
}

/// An entry that a name means.
pub(super) struct Found<'t> {
    pub rule: Rule,
    pub name: Arc<str>,
    pub target: Option<Arc<str>>,
    /// `None`: an alias for something we do not know.
    pub group: Option<&'t Arc<Group>>,
    pub captured: Option<Match<'t>>,
}

impl RouteTable {
    pub fn new(models: &Models) -> Self {
        let mut direct = Vec::new();
        let mut ids = HashMap::new();
        let mut groups = Vec::new();
        for group in &models.groups {
            let name: Arc<str> = Arc::from(group.name.as_str());
            let mut members = Vec::new();
            for deployment in &group.deployments {
                let member = Member::new(&name, deployment, &mut direct);
                if let Some(id) = &deployment.id {
                    let alone = Group::alone(id, member.clone());
                    ids.insert(Arc::clone(&alone.name), Arc::new(alone));
                }
                members.push(member);
            }
            groups.push(Arc::new(Group { name, members }));
        }
        let mut table = Self {
            exact: groups
                .iter()
                .map(|group| (Arc::clone(&group.name), Arc::clone(group)))
                .collect(),
            ids,
            aliases: models
                .aliases
                .iter()
                .map(|alias| (Arc::from(&*alias.name), Arc::from(&*alias.target)))
                .collect(),
            wildcards: Wildcards::new(&groups),
            groups,
            direct,
            listed: Vec::new(),
        };
        table.listed = table.list(models);
        table
    }

    /// `pick` is uniform in `[0, 1)` and decides between the deployments of a group.
    pub fn resolve(&self, model: &str, pick: f64) -> Route {
        let found =
            Asked::parse(model).and_then(|asked| Some((self.find(asked.name)?, asked.betas)));
        let Some((found, betas)) = found else {
            return Route {
                upstream: Upstream::LiteLlm,
                model: None,
                betas: Vec::new(),
                rule: Rule::Unknown,
                name: Arc::from(model),
                target: None,
            };
        };
        let member = found.group.and_then(|group| group.pick(pick));
        let sent = match member {
            Some(member) => found.sent(member),
            None => found.name.to_string(),
        };
        Route {
            upstream: member
                .and_then(|member| member.direct.clone())
                .map_or(Upstream::LiteLlm, Upstream::Direct),
            model: (sent != model).then_some(sent),
            betas,
            rule: found.rule,
            name: found.name,
            target: found.target,
        }
    }

    /// The names for `/v1/models`: entries, then aliases that are not hidden; wildcards are no names.
    pub fn models(&self) -> &[ListedModel] {
        &self.listed
    }

    /// The deployments the gateway calls itself, each at its index.
    pub fn direct(&self) -> &[Arc<DirectModel>] {
        &self.direct
    }

    pub(super) fn find(&self, name: &str) -> Option<Found<'_>> {
        self.by_id(name)
            .or_else(|| self.by_name(name))
            .or_else(|| self.by_name(undated(name)?))
            .or_else(|| {
                let matched = self.wildcards.find(name)?;
                Some(Found {
                    rule: Rule::Wildcard,
                    name: Arc::from(name),
                    target: None,
                    group: Some(matched.group),
                    captured: Some(matched),
                })
            })
    }

    fn by_id(&self, name: &str) -> Option<Found<'_>> {
        if self.exact.contains_key(name) {
            return None;
        }
        let group = self.ids.get(name)?;
        Some(Found {
            rule: Rule::DeploymentId,
            name: Arc::clone(&group.name),
            target: None,
            group: Some(group),
            captured: None,
        })
    }

    fn by_name(&self, name: &str) -> Option<Found<'_>> {
        if let Some((alias, target)) = self.aliases.get_key_value(name) {
            let exact = self.exact.get(target);
            let captured = match exact {
                Some(_) => None,
                None => self.wildcards.find(target),
            };
            return Some(Found {
                rule: Rule::Alias,
                name: Arc::clone(alias),
                target: Some(Arc::clone(target)),
                group: exact.or(captured.as_ref().map(|matched| matched.group)),
                captured,
            });
        }
        let group = self.exact.get(name)?;
        Some(Found {
            rule: Rule::Exact,
            name: Arc::clone(&group.name),
            target: None,
            group: Some(group),
            captured: None,
        })
    }

    fn list(&self, models: &Models) -> Vec<ListedModel> {
        let entries = self.groups.iter().map(|group| &group.name);
        let aliases = models
            .aliases
            .iter()
            .filter(|alias| !alias.hidden)
            .filter_map(|alias| Some(self.aliases.get_key_value(&*alias.name)?.0));
        let mut listed: Vec<ListedModel> = Vec::new();
        for name in entries.chain(aliases).filter(|name| !name.contains('*')) {
            if listed.iter().any(|model| model.name == *name) {
                continue;
            }
            // As a request for the name would be placed: an alias may shadow an entry.
            let group = self.by_name(name).and_then(|found| found.group);
            listed.push(ListedModel {
                name: Arc::clone(name),
                direct: group.is_some_and(|group| group.is_direct()),
            });
        }
        listed
    }
}

impl Found<'_> {
    /// The name a member is asked for.
    pub fn sent(&self, member: &Member) -> String {
        match &self.captured {
            Some(captured) => captured.fill(&member.model),
            None => member.model.clone(),
        }
    }
}

impl Group {
    fn alone(id: &str, member: Member) -> Self {
        Self {
            name: Arc::from(id),
            members: vec![member],
        }
    }

    pub fn is_direct(&self) -> bool {
        self.members.iter().any(|member| member.direct.is_some())
    }

    /// The member whose share of the weights `pick` falls into, if we call it ourselves. `None` is LiteLLM,
    /// which makes its own choice: a group that is LiteLLM's alone is never picked from here.
    fn pick(&self, pick: f64) -> Option<&Member> {
        if !self.is_direct() {
            return None;
        }
        let total: f64 = self.members.iter().map(|member| self.weight(member)).sum();
        let mut rest = pick * total;
        self.members
            .iter()
            .find(|member| {
                rest -= self.weight(member);
                rest < 0.0
            })
            .filter(|member| member.direct.is_some())
    }

    /// A member's weight; all weigh the same when none has any.
    pub fn weight(&self, member: &Member) -> f64 {
        if self.members.iter().all(|member| member.weight == 0) {
            1.0
        } else {
            f64::from(member.weight)
        }
    }

    #[cfg(test)]
    pub fn named(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            members: Vec::new(),
        }
    }
}

impl Member {
    fn new(
        group: &Arc<str>,
        deployment: &Arc<Deployment>,
        known: &mut Vec<Arc<DirectModel>>,
    ) -> Self {
        let direct = deployment.direct.as_ref().map(|target| {
            let direct = Arc::new(DirectModel {
                index: known.len(),
                group: Arc::clone(group),
                deployment: Arc::clone(deployment),
                target: target.clone(),
            });
            known.push(Arc::clone(&direct));
            direct
        });
        Self {
            weight: deployment.weight,
            model: deployment.model.clone(),
            direct,
        }
    }
}

#[cfg(test)]
mod tests;

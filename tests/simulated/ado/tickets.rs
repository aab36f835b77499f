//! Tickets of rules, kept by the real binary in the simulated organization.

use std::fs;

use super::*;
use crate::harness::{Done, Ground as House};

struct Trial {
    house: House,
    door: Door,
    file: String,
    actions: String,
    runtime: tokio::runtime::Runtime,
}

impl Trial {
    fn new(actions: &str) -> Trial {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = Turned::starting();
        let door = runtime.block_on(Door::open(World::new(3), clock));
        let house = House::new();
        let (file, settings, token) = (house.beside("pods.sql"), house.beside("actions.yaml"), house.beside("token"));
        fs::write(&token, door.token()).unwrap();
        let text =
            format!("tickets: {{organization: '{}', auth: 'pat:file:{}', type: Bug}}\n", door.url(), token.display());
        fs::write(&settings, text).unwrap();
        let rule = format!(
            "-- ---\n-- owner: shop\n-- every: 1s\n-- key: [namespace, pod]\n-- watch: [phase]\n{}\n-- ---\n\
             SELECT namespace, pod, phase FROM k8s_pod WHERE phase <> 'Running'\n",
            actions.replace("PROJECT", &door.project())
        );
        fs::write(&file, rule).unwrap();
        Trial { house, door, file: file.display().to_string(), actions: settings.display().to_string(), runtime }
    }

    /// The pod is in this phase now, and the rule runs.
    fn run(&self, phase: &str) -> Done {
        std::thread::sleep(Duration::from_millis(1_100));
        let path = self.house.beside("pods.json");
        let version = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let pods = serde_json::json!({
            "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [{
                "apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i:1"}]}, "status": {"phase": phase},
                "metadata": {"name": "web-0", "namespace": "shop", "uid": "u", "resourceVersion": version.to_string()},
            }],
        });
        fs::write(&path, pods.to_string()).unwrap();
        self.house.run(&["ingest", "k8s", path.to_str().unwrap(), "--cluster", "c"]).ok();
        self.house.run(&["rule", "run", &self.file, "--actions", &self.actions, "--json"])
    }

    /// State, title and tags of every ticket.
    fn tickets(&self) -> Vec<[String; 3]> {
        let field = |item: &serde_json::Value, name: &str| item["fields"][name].as_str().unwrap_or_default().to_owned();
        let of =
            |item: &serde_json::Value| ["System.State", "System.Title", "System.Tags"].map(|name| field(item, name));
        self.door.items().iter().map(of).collect()
    }
}

const TICKET: &str = "-- new: ticket(\"PROJECT\", \"{pod} is {phase}\", \"Look <at> it.\")
-- changed: ticket(\"PROJECT\", \"{pod} is {phase}\", \"Look <at> it.\")
-- resolved: ticket(\"PROJECT\", \"{pod} is {phase}\")";

#[test]
fn a_ticket_lives_as_long_as_its_row_and_a_lost_answer_makes_no_second_one() {
    let trial = Trial::new(TICKET);
    // The work item is there, and its maker does not know; the next attempt finds it.
    trial.door.lose_answers(1);
    trial.run("Pending").ok();
    assert_eq!(trial.tickets().len(), 1);
    assert_eq!(trial.house.ask("SELECT state, attempt FROM job"), [["ready", "1"]]);
    std::thread::sleep(Duration::from_millis(1_100));
    let done = trial.house.run(&["rule", "run", &trial.file, "--actions", &trial.actions]).ok();
    assert_eq!(trial.tickets().len(), 1, "{}", done.stdout);
    assert_eq!(trial.house.ask("SELECT count(*) FROM job"), [["0"]]);
    let [state, title, tags] = trial.tickets().remove(0);
    assert_eq!((state.as_str(), title.as_str()), ("To Do", "web-0 is Pending"));
    assert!(tags.starts_with("stellwerk; stellwerk-"), "{tags}");
    let description = trial.door.items()[0]["fields"]["System.Description"].clone();
    assert_eq!(description, "Look &lt;at&gt; it.<br><br>rule pods");

    trial.run("Failed").ok();
    assert_eq!(trial.tickets()[0][..2], ["To Do", "web-0 is Failed"]);
    trial.run("Running").ok();
    assert_eq!(trial.tickets()[0][..2], ["Done", "web-0 is Failed"]);
    // Another life of the row is another ticket.
    trial.run("Pending").ok();
    let states: Vec<String> = trial.tickets().into_iter().map(|[state, ..]| state).collect();
    assert_eq!(states, ["Done", "To Do"]);
    drop(trial.runtime);
}

#[test]
fn a_label_is_put_on_and_taken_off() {
    let trial = Trial::new(TICKET);
    trial.run("Pending").ok();
    let id = trial.door.items()[0]["id"].as_i64().unwrap();
    let label = format!("label(\"{}\", {id}, \"{{pod}}\")", trial.door.project());
    let rule = fs::read_to_string(&trial.file).unwrap();
    let from = rule.find("-- new:").unwrap();
    let to = rule.rfind("-- ---").unwrap();
    let rule = format!("{}-- new: {label}\n-- resolved: {label}\n{}", &rule[..from], &rule[to..]);
    let file = trial.house.beside("label.sql");
    fs::write(&file, rule).unwrap();
    let trial = Trial { file: file.display().to_string(), ..trial };
    trial.run("Pending").ok();
    assert!(trial.tickets()[0][2].ends_with("; web-0"), "{:?}", trial.tickets());
    trial.run("Running").ok();
    assert!(!trial.tickets()[0][2].contains("web-0"), "{:?}", trial.tickets());
}

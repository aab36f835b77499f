//! What a server estimates by itself: new and missed days once, changed days again, nothing twice.

use super::*;

fn today() -> i64 {
    use engine::Clock;
    let now = WallClock.now_us();
    now - now.rem_euclid(DAY_US)
}

/// So many calls of a thousand tokens on a day; each costs 0.003.
async fn calls(house: &House, day: i64, count: i64) {
    let mut rows = Rows::new(&OTEL_SPAN);
    for n in 0..count {
        rows.set("time", Value::Time((day + n * 1_000) * 1_000))
            .set("trace_id", "0".repeat(32))
            .set("span_id", format!("{n:016}"))
            .set("tenant", "shop")
            .set("gen_ai_provider_name", "openai")
            .set("gen_ai_response_model", "gpt-4o")
            .set("gen_ai_usage_input_tokens", 1_000i64)
            .set("gen_ai_usage_output_tokens", 100i64);
        rows.end_row().unwrap();
    }
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    house.store.append(frame).await.unwrap();
}

/// A price list of models is in the store; what it says is in memory already.
async fn listed(house: &House) {
    let mut rows = Rows::new(&ledger::price::MODEL_PRICE);
    let price = ModelPrice {
        price_list: "ours".to_owned(),
        model: "gpt-4o".to_owned(),
        provider: "openai".to_owned(),
        mode: "chat".to_owned(),
        match_pattern: None,
        dimension: "input".to_owned(),
        service_tier: "standard".to_owned(),
        above_tokens: 0,
        unit: "token".to_owned(),
        unit_price: 1,
        currency: "USD".to_owned(),
        validity: Validity { from: 0, to: None },
        key: None,
        raw: None,
    };
    price.write("default", &mut rows).unwrap();
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    house.store.append(frame).await.unwrap();
}

fn schedule() -> Schedule {
    Schedule::new(ClusterWish { provider: "AWS".to_owned(), ..ClusterWish::default() })
}

/// The days that a beat wrote, counted back from today.
async fn beat(house: &House, schedule: &Schedule) -> Vec<(&'static str, i64)> {
    let beats = schedule.beat(&house.store).await.unwrap();
    let told = |beat: Beat| {
        let done = beat.done.unwrap();
        assert_eq!(done.days, 1, "{done:?}");
        (beat.kind, (today() - beat.window.0) / DAY_US)
    };
    beats.into_iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_writes_what_is_new_and_nothing_twice() {
    let house = House::open().await;
    let first = schedule();
    calls(&house, today() - DAY_US, 2).await;
    assert_eq!(beat(&house, &first).await, [], "nothing is estimated without a price list");
    listed(&house).await;
    assert_eq!(beat(&house, &first).await, [("models", 1)]);
    house.check(SUM, &["0.006|1"]).await;
    let places = house.ask("SELECT _seq FROM cost_line ORDER BY 1").await;
    assert_eq!(beat(&house, &first).await, [], "nothing is new");
    assert_eq!(house.ask("SELECT _seq FROM cost_line ORDER BY 1").await, places, "and nothing was written again");

    // A span that came late, one of two days earlier; then another process, which does not know what was written.
    calls(&house, today() - DAY_US + 3_600_000_000, 1).await;
    calls(&house, today() - 3 * DAY_US, 1).await;
    assert_eq!(beat(&house, &first).await, [("models", 3), ("models", 1)]);
    house.check(SUM, &["0.012|2"]).await;
    let other = schedule();
    assert_eq!(beat(&house, &other).await, [("models", 3), ("models", 1)]);
    house.check(SUM, &["0.012|2"]).await;
    assert_eq!(beat(&house, &other).await, []);

    // A bill takes the place of an estimate, and a beat changes nothing of it.
    let name = |day: i64| day_name(day);
    let (from, to, month) = (name(today() - DAY_US), name(today()), name(today() - DAY_US)[..8].to_owned() + "01");
    let bill = format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceName,ServiceProviderName,SkuPriceDetails\n\
         0.02,0.02,USD,{month},{from},{to},Usage,API,OpenAI,\"{{\"\"ModelId\"\":\"\"gpt-4o\"\"}}\"\n"
    );
    house.bill("openai.csv", &bill).await.unwrap();
    house.check(SUM, &["0.023|1"]).await;
    for schedule in [&first, &self::schedule()] {
        beat(&house, schedule).await;
        house.check(SUM, &["0.023|1"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_missed_are_caught_up_with() {
    let house = House::open().await;
    listed(&house).await;
    let back = |days: i64| today() - days * DAY_US;
    for days in [29, 20, 10, 2] {
        calls(&house, back(days), 1).await;
    }
    models(&house.store, (back(20), back(19))).await.unwrap();
    let schedule = schedule();
    assert_eq!(beat(&house, &schedule).await, [("models", 10), ("models", 2)], "what came before the last one is left");
    house.check(SUM, &["0.009|3"]).await;
    assert_eq!(beat(&house, &schedule).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_outlive_what_they_were_made_of() {
    let house = House::open().await;
    listed(&house).await;
    let old = (today() - 40 * DAY_US, today() - 39 * DAY_US);
    calls(&house, old.0, 2).await;
    assert_eq!(models(&house.store, old).await.unwrap().rows, 1);
    house.check(SUM, &["0.006|1"]).await;
    // Spans are kept for 30 days.
    house.store.sweep().await.unwrap();
    house.check("SELECT count(*) AS n FROM otel_span", &["0"]).await;
    let again = models(&house.store, old).await.unwrap();
    assert!(again.rows == 0 && again.notes[0].contains("outlived its retention"), "{again:?}");
    house.check(SUM, &["0.006|1"]).await;
}

"""Writes FOCUS 1.2 rows as CSV: the sample's columns and kinds of charges, spread over three months, 200 sub-accounts
and a hundred thousand resources. Every row keeps what belongs together in the sample (service, SKU, unit prices, units);
costs are exactly quantity times unit price. Seeded: the same rows at every run. Usage: focus_rows.py SAMPLE ROWS FILE
"""

import csv
import datetime
import os
import random
import sys

SEED = 20260501
FIRST_DAY = datetime.datetime(2026, 5, 1)
DAYS = 92
SUB_ACCOUNTS = 200
# Of each sub-account and row of the sample, and of each row of the sample.
RESOURCES = 8
COMMITMENTS = 20
TEAMS = ["team-platform", "team-data", "team-shop", "team-pay", "team-search", "team-mobile", "team-ml", "team-ops"]
APPLICATIONS = [f"app-{number:02}" for number in range(40)]


def decimal(units, digits):
    """A whole number of the smallest unit as a decimal text, exact."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    return f"{sign}{units // 10**digits}.{units % 10**digits:0{digits}}"


def scaled(text, digits):
    whole, _, fraction = text.partition(".")
    return int(whole or 0) * 10**digits + int((fraction + "0" * digits)[:digits] or 0)


def month_of(moment):
    begin = moment.replace(day=1, hour=0)
    return begin, (begin + datetime.timedelta(days=32)).replace(day=1)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def tags(dice, account):
    environment = ["prod", "staging", "dev"][account % 3]
    return (
        f'{{"Environment":"{environment}","CostCenter":"cc-{1000 + account % 60}","Owner":"{dice.choice(TEAMS)}",'
        f'"application":"{dice.choice(APPLICATIONS)}"}}'
    )


def costs(row, dice, list_price, contracted_price):
    """Quantities and costs: quantity to four digits, unit prices to ten, costs exact to fourteen."""
    quantity = int(dice.lognormvariate(1.5, 1.4) * 10_000) + 1
    listed, contracted = quantity * list_price, quantity * contracted_price
    billed = 0 if row["PricingCategory"] == "Committed" else contracted
    for name in ("PricingQuantity", "ConsumedQuantity"):
        if row[name]:
            row[name] = decimal(quantity, 4)
    if row["CommitmentDiscountQuantity"]:
        row["CommitmentDiscountQuantity"] = decimal(quantity, 4)
    row["ListCost"], row["ContractedCost"] = decimal(listed, 14), decimal(contracted, 14)
    effective = decimal(contracted * 9 // 10 if billed == 0 else contracted, 14)
    row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = effective
    row["BilledCost"] = decimal(billed, 14)


def vary(template, dice):
    row = dict(template)
    account = int(dice.random() * dice.random() * SUB_ACCOUNTS)
    begin = FIRST_DAY + datetime.timedelta(hours=dice.randrange(DAYS * 24))
    month, after = month_of(begin)
    row["SubAccountId"], row["SubAccountName"] = str(200000000011 + account), f"account-{account:03}"
    row["BillingPeriodStart"], row["BillingPeriodEnd"] = stamp(month), stamp(after)
    row["ChargePeriodStart"], row["ChargePeriodEnd"] = stamp(begin), stamp(begin + datetime.timedelta(hours=1))
    row["InvoiceId"] = f"INV-{month:%Y-%m}-{row['BillingAccountId'][-4:]}"
    if row["ListUnitPrice"]:
        costs(row, dice, scaled(row["ListUnitPrice"], 10), scaled(row["ContractedUnitPrice"], 10))
    if row["ResourceId"]:
        number = account * RESOURCES + dice.randrange(RESOURCES)
        stem = row["ResourceId"].rsplit("/", 1)[0]
        row["ResourceId"] = f"{stem}/r-{number:012x}"
        row["ResourceName"] = f"r-{number:012x}"
    if row["CommitmentDiscountId"]:
        stem = row["CommitmentDiscountId"].rsplit("/", 1)[0]
        row["CommitmentDiscountId"] = f"{stem}/{dice.randrange(COMMITMENTS):016x}"
    if row["ServiceCategory"] == "Compute" and dice.random() < 0.05:
        row["CapacityReservationId"] = f"cr-{dice.randrange(50):08x}"
        row["CapacityReservationStatus"] = dice.choice(["Used", "Used", "Used", "Unused"])
    if dice.random() < 0.005:
        row["ChargeClass"] = "Correction"
    row["Tags"] = tags(dice, account)
    return row


def main():
    sample, rows, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(sample, newline="") as file:
        templates = list(csv.DictReader(file))
    dice = random.Random(SEED)
    usage = [row for row in templates if row["ChargeCategory"] == "Usage"]
    with open(path + ".part", "w", newline="") as file:
        writer = csv.DictWriter(file, templates[0].keys(), lineterminator="\n")
        writer.writeheader()
        for _ in range(rows):
            writer.writerow(vary(dice.choice(usage if dice.random() < 0.9 else templates), dice))
    os.rename(path + ".part", path)


if __name__ == "__main__":
    main()

-- ClickBench's 43 questions (github.com/ClickHouse/ClickBench), as its variants for DuckDB, DataFusion and ClickHouse ask
-- them. A LIMIT whose order leaves ties, or that has no order, has many right answers: such a question is marked ~any and
-- only the number of its rows is compared.

-- q01: Rows.
SELECT COUNT(*) AS n FROM hits
-- q02: Rows that an advertisement brought.
SELECT COUNT(*) AS n FROM hits WHERE AdvEngineID <> 0
-- q03: Sums and means.
SELECT SUM(AdvEngineID) AS a, COUNT(*) AS n, AVG(ResolutionWidth) AS w FROM hits
-- q04: A mean of large numbers.
SELECT AVG(CAST(UserID AS DOUBLE)) AS u FROM hits
-- q05: Distinct users.
SELECT COUNT(DISTINCT UserID) AS n FROM hits
-- q06: Distinct phrases.
SELECT COUNT(DISTINCT SearchPhrase) AS n FROM hits
-- q07: First and last day.
SELECT MIN(EventDate) AS a, MAX(EventDate) AS b FROM hits
-- q08: Advertisements.
SELECT AdvEngineID, COUNT(*) AS n FROM hits WHERE AdvEngineID <> 0 GROUP BY AdvEngineID ORDER BY COUNT(*) DESC, AdvEngineID
-- q09 ~any: Users by region.
SELECT RegionID, COUNT(DISTINCT UserID) AS u FROM hits GROUP BY RegionID ORDER BY u DESC LIMIT 10
-- q10 ~any: Regions.
SELECT RegionID, SUM(AdvEngineID) AS a, COUNT(*) AS c, AVG(ResolutionWidth) AS w, COUNT(DISTINCT UserID) AS u FROM hits GROUP BY RegionID ORDER BY c DESC LIMIT 10
-- q11 ~any: Users by model of phone.
SELECT MobilePhoneModel, COUNT(DISTINCT UserID) AS u FROM hits WHERE MobilePhoneModel <> '' GROUP BY MobilePhoneModel ORDER BY u DESC LIMIT 10
-- q12 ~any: Users by phone and model.
SELECT MobilePhone, MobilePhoneModel, COUNT(DISTINCT UserID) AS u FROM hits WHERE MobilePhoneModel <> '' GROUP BY MobilePhone, MobilePhoneModel ORDER BY u DESC LIMIT 10
-- q13 ~any: Phrases.
SELECT SearchPhrase, COUNT(*) AS c FROM hits WHERE SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC LIMIT 10
-- q14 ~any: Users by phrase.
SELECT SearchPhrase, COUNT(DISTINCT UserID) AS u FROM hits WHERE SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY u DESC LIMIT 10
-- q15 ~any: Phrases by engine.
SELECT SearchEngineID, SearchPhrase, COUNT(*) AS c FROM hits WHERE SearchPhrase <> '' GROUP BY SearchEngineID, SearchPhrase ORDER BY c DESC LIMIT 10
-- q16 ~any: Busiest users.
SELECT UserID, COUNT(*) AS n FROM hits GROUP BY UserID ORDER BY COUNT(*) DESC LIMIT 10
-- q17 ~any: Busiest users and phrases.
SELECT UserID, SearchPhrase, COUNT(*) AS n FROM hits GROUP BY UserID, SearchPhrase ORDER BY COUNT(*) DESC LIMIT 10
-- q18 ~any: The same in no order.
SELECT UserID, SearchPhrase, COUNT(*) AS n FROM hits GROUP BY UserID, SearchPhrase LIMIT 10
-- q19 ~any: The same by minute.
SELECT UserID, extract(minute FROM EventTime) AS m, SearchPhrase, COUNT(*) AS n FROM hits GROUP BY UserID, m, SearchPhrase ORDER BY COUNT(*) DESC LIMIT 10
-- q20: One user.
SELECT UserID FROM hits WHERE UserID = 435090932899640449
-- q21: A word in addresses.
SELECT COUNT(*) AS n FROM hits WHERE URL LIKE '%google%'
-- q22 ~any: Phrases that led there.
SELECT SearchPhrase, MIN(URL) AS u, COUNT(*) AS c FROM hits WHERE URL LIKE '%google%' AND SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC LIMIT 10
-- q23 ~any: Titles with a word.
SELECT SearchPhrase, MIN(URL) AS u, MIN(Title) AS t, COUNT(*) AS c, COUNT(DISTINCT UserID) AS d FROM hits WHERE Title LIKE '%Google%' AND URL NOT LIKE '%.google.%' AND SearchPhrase <> '' GROUP BY SearchPhrase ORDER BY c DESC LIMIT 10
-- q24 ~any: Whole rows.
SELECT * FROM hits WHERE URL LIKE '%google%' ORDER BY EventTime LIMIT 10
-- q25 ~any: First phrases.
SELECT SearchPhrase FROM hits WHERE SearchPhrase <> '' ORDER BY EventTime LIMIT 10
-- q26: Phrases in their order.
SELECT SearchPhrase FROM hits WHERE SearchPhrase <> '' ORDER BY SearchPhrase LIMIT 10
-- q27 ~any: First phrases, in their order.
SELECT SearchPhrase FROM hits WHERE SearchPhrase <> '' ORDER BY EventTime, SearchPhrase LIMIT 10
-- q28 ~any: Long addresses.
SELECT CounterID, AVG(length(URL)) AS l, COUNT(*) AS c FROM hits WHERE URL <> '' GROUP BY CounterID HAVING COUNT(*) > 100000 ORDER BY l DESC LIMIT 25
-- q29 ~any: Referring hosts.
SELECT REGEXP_REPLACE(Referer, '^https?://(?:www\.)?([^/]+)/.*$', '\1') AS k, AVG(length(Referer)) AS l, COUNT(*) AS c, MIN(Referer) AS r FROM hits WHERE Referer <> '' GROUP BY k HAVING COUNT(*) > 100000 ORDER BY l DESC LIMIT 25
-- q30: Ninety sums.
SELECT {sums} FROM hits
-- q31 ~any: Engines and addresses.
SELECT SearchEngineID, ClientIP, COUNT(*) AS c, SUM(IsRefresh) AS r, AVG(ResolutionWidth) AS w FROM hits WHERE SearchPhrase <> '' GROUP BY SearchEngineID, ClientIP ORDER BY c DESC LIMIT 10
-- q32 ~any: Watches with a phrase.
SELECT WatchID, ClientIP, COUNT(*) AS c, SUM(IsRefresh) AS r, AVG(ResolutionWidth) AS w FROM hits WHERE SearchPhrase <> '' GROUP BY WatchID, ClientIP ORDER BY c DESC LIMIT 10
-- q33 ~any: All watches.
SELECT WatchID, ClientIP, COUNT(*) AS c, SUM(IsRefresh) AS r, AVG(ResolutionWidth) AS w FROM hits GROUP BY WatchID, ClientIP ORDER BY c DESC LIMIT 10
-- q34 ~any: Addresses.
SELECT URL, COUNT(*) AS c FROM hits GROUP BY URL ORDER BY c DESC LIMIT 10
-- q35 ~any: The same with a constant.
SELECT 1 AS one, URL, COUNT(*) AS c FROM hits GROUP BY 1, URL ORDER BY c DESC LIMIT 10
-- q36 ~any: Neighbours of addresses.
SELECT ClientIP, ClientIP - 1 AS a, ClientIP - 2 AS b, ClientIP - 3 AS d, COUNT(*) AS c FROM hits GROUP BY ClientIP, ClientIP - 1, ClientIP - 2, ClientIP - 3 ORDER BY c DESC LIMIT 10
-- q37 ~any: One site's pages.
SELECT URL, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND DontCountHits = 0 AND IsRefresh = 0 AND URL <> '' GROUP BY URL ORDER BY v DESC LIMIT 10
-- q38 ~any: One site's titles.
SELECT Title, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND DontCountHits = 0 AND IsRefresh = 0 AND Title <> '' GROUP BY Title ORDER BY v DESC LIMIT 10
-- q39 ~any: One site's links.
SELECT URL, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 AND IsLink <> 0 AND IsDownload = 0 GROUP BY URL ORDER BY v DESC LIMIT 10 OFFSET 1000
-- q40 ~any: One site's sources.
SELECT TraficSourceID, SearchEngineID, AdvEngineID, CASE WHEN (SearchEngineID = 0 AND AdvEngineID = 0) THEN Referer ELSE '' END AS src, URL AS dst, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 GROUP BY TraficSourceID, SearchEngineID, AdvEngineID, src, dst ORDER BY v DESC LIMIT 10 OFFSET 1000
-- q41 ~any: One referrer by day.
SELECT URLHash, EventDate, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 AND TraficSourceID IN (-1, 6) AND RefererHash = 3594120000172545465 GROUP BY URLHash, EventDate ORDER BY v DESC LIMIT 10 OFFSET 100
-- q42 ~any: One page by window.
SELECT WindowClientWidth, WindowClientHeight, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-01' AND EventDate <= '2013-07-31' AND IsRefresh = 0 AND DontCountHits = 0 AND URLHash = 2868770270353813622 GROUP BY WindowClientWidth, WindowClientHeight ORDER BY v DESC LIMIT 10 OFFSET 10000
-- q43 ~any: One site by minute.
SELECT DATE_TRUNC('minute', EventTime) AS m, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-14' AND EventDate <= '2013-07-15' AND IsRefresh = 0 AND DontCountHits = 0 GROUP BY DATE_TRUNC('minute', EventTime) ORDER BY DATE_TRUNC('minute', EventTime) LIMIT 10 OFFSET 1000
-- q43 @chdb
SELECT toStartOfMinute(EventTime) AS m, COUNT(*) AS v FROM hits WHERE CounterID = 62 AND EventDate >= '2013-07-14' AND EventDate <= '2013-07-15' AND IsRefresh = 0 AND DontCountHits = 0 GROUP BY m ORDER BY m LIMIT 10 OFFSET 1000

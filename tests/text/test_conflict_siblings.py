"""Conflicts in ten languages and of many kinds: each edit turns the meaning around, or leaves it as it is."""

import pytest

from fidelity.text.conflicts import compare_texts


def code(language, text):
    return f"Use this:\n\n```{language}\n{text}\n```"


PYTHON = """def load(path, limit=10):
    rows = []
    for i in range(0, limit):
        value = items[i]
        if value == path or value is None:
            rows.append(fetch(value, limit))
    result = await client.send(rows)
    return re.sub(r"[a-z]+\\d", "x", result)"""
SQL = """SELECT c.name, o.total
FROM customers c
LEFT JOIN orders o ON o.customer_id = c.id
WHERE o.total > 100 AND c.active = TRUE
ORDER BY o.total DESC
LIMIT 10;"""
SHELL = """rsync -avz --delete /srv/data/ backup:/srv/data/
chmod 600 ~/.ssh/id_rsa"""
FATAL = [
    ("de", "Nehmen Sie das Mittel bis Freitag ein und fahren Sie danach kein Auto.", "bis Freitag", "seit Freitag"),
    ("de", "Die Tür muss links geöffnet werden.", "links", "rechts"),
    ("de", "Die Impfung ist vor der Operation nötig.", "vor der", "nach der"),
    ("de", "Das Medikament darf nicht mit Milch eingenommen werden.", "darf nicht", "darf"),
    ("de", "Die Temperatur ist um 5 Grad gestiegen.", "gestiegen", "gefallen"),
    ("de", "Das ist erlaubt, wenn der Vertrag unterschrieben ist.", "erlaubt", "verboten"),
    ("fr", "Ce médicament ne doit pas être pris avec de l'alcool.", "ne doit pas", "doit"),
    ("fr", "La température a augmenté de 5 degrés cette semaine.", "augmenté", "diminué"),
    ("fr", "Il faut le prendre avant le repas du soir.", "avant", "après"),
    ("fr", "Le contrat interdit la revente des billets.", "interdit", "autorise"),
    ("es", "Este medicamento no debe tomarse con alcohol.", "no debe", "debe"),
    ("es", "La presión aumenta con la temperatura del gas.", "aumenta", "disminuye"),
    ("es", "Hay que tomarlo antes de la comida principal.", "antes", "después"),
    ("it", "Questo farmaco non deve essere preso con alcol.", "non deve", "deve"),
    ("pt", "Este medicamento não deve ser tomado com álcool.", "não deve", "deve"),
    ("pt", "A pressão aumenta com a temperatura do gás.", "aumenta", "diminui"),
    ("nl", "Dit middel mag niet met alcohol worden ingenomen.", "mag niet", "mag"),
    ("nl", "De druk stijgt als de temperatuur stijgt in het vat.", "druk stijgt", "druk daalt"),
    ("zh", "这种药不能和酒一起服用，会伤害肝脏。", "不能", "能"),
    ("zh", "血压在治疗之后上升了很多，请注意休息。", "上升", "下降"),
    ("zh", "请在饭前服用这种药，每天三次。", "饭前", "饭后"),
    ("ja", "この薬はアルコールと一緒に飲まないでください。", "飲まないで", "飲んで"),
    ("ja", "治療の後に血圧が上昇しましたので注意が必要です。", "上昇", "低下"),
    ("ja", "この機能は無効になっています。必要に応じて設定してください。", "無効", "有効"),
    ("zh", "这笔贷款的年利率是百分之三点五，期限两年。", "百分之三点五", "3.6%"),
    ("es", "No deje nunca el medicamento al alcance de los niños.", "No deje nunca", "Deje"),
    ("hi", "यह दवा शराब के साथ नहीं लेनी चाहिए।", "नहीं ", ""),
    ("ru", "Это лекарство нельзя принимать с алкоголем, так как оно вредит печени.", "нельзя", "можно"),
    ("ru", "Этот препарат не следует принимать вместе с алкоголем.", "не следует", "следует"),
    ("en", "The offer is valid until March 5 for new customers.", "until", "since"),
    ("en", "Aspirin is contraindicated in patients with ulcers.", "contraindicated", "indicated"),
    ("en", "The drug is recommended for children under 12 years.", "recommended", "not recommended"),
    ("en", "The bridge is 300 feet long and was opened to the public.", "feet", "meters"),
    ("en", "The ticket costs $45 at the counter.", "$45", "€45"),
    ("en", "The ticket costs 45 dollars at the counter.", "dollars", "euros"),
    ("en", "The meeting moved from May 3 to June 9 because of the strike.", "May 3 to June 9", "June 9 to May 3"),
    ("en", "Acme sued Globex over the patent in federal court.", "Acme sued Globex", "Globex sued Acme"),
    ("en", "Maria hired Peter as a gardener last spring.", "Maria hired Peter", "Peter hired Maria"),
    (
        "en",
        "The critics praised The Long Road but disliked Silent Water.",
        "The Long Road but disliked Silent Water",
        "Silent Water but disliked The Long Road",
    ),
    ("en", "My favorite album is The Wall by Pink Floyd.", "The Wall", "The Division"),
    ("en", "You must keep the door locked at night.", "must", "must not"),
    ("en", "You may enter without a ticket after six.", "without", "with"),
    ("en", "The valve must remain open during the test.", "open", "closed"),
    ("en", "Both keys are required to start the engine.", "required", "optional"),
    ("en", "The plaintiff won the case in the first instance.", "won", "lost"),
    ("en", "Everyone can vote in this election, including guests.", "including", "excluding"),
    ("en", "The server accepts requests from the client only.", "accepts", "rejects"),
    ("en", "The parcel arrives at 5 pm on Monday.", "5 pm", "5 am"),
    ("en", "The parcel arrives on Monday morning.", "Monday", "Tuesday"),
    ("en", "Take two tablets twice a day with water.", "twice", "once"),
    ("en", "He is older than his brother and lives in town.", "older", "younger"),
    ("en", "The first half was better than the second half of the match.", "better", "worse"),
    ("en", "It is unlikely that the bill will pass this year.", "unlikely", "likely"),
    ("en", "The treatment was ineffective against the new strain.", "ineffective", "effective"),
    ("en", "The results are statistically significant.", "significant", "insignificant"),
    ("en", "See section 4.2 of the manual for the details.", "4.2", "4.3"),
    ("en", "Call +1 555 0134 if the alarm starts.", "0134", "0143"),
    ("en", "Write to help@acme.org for a refund.", "help@acme.org", "help@acne.org"),
    ("json", '{"url": "https://api.acme.org/v1/users", "mode": "read", "retries": 3}', "v1", "v2"),
    ("json", '{"url": "https://api.acme.org/v1/users", "mode": "read", "retries": 3}', '"read"', '"write"'),
    ("json", '{"a": null, "b": "x"}', "null", '""'),
    ("json", '{"from": "Riga", "to": "Graz"}', '"Riga", "to": "Graz"', '"Graz", "to": "Riga"'),
    ("json", code("yaml", "name: web\nreplicas: 3\nrestart: always\nports:\n  - 80\n"), "always", "never"),
    ("json", code("yaml", "name: web\nreplicas: 3\nrestart: always\nports:\n  - 80\n"), "replicas: 3", "replicas: 30"),
    ("code", code("python", PYTHON), "value == path", "value != path"),
    ("code", code("python", PYTHON), " or ", " and "),
    ("code", code("python", PYTHON), "fetch(value, limit)", "fetch(limit, value)"),
    ("code", code("python", PYTHON), "await ", ""),
    ("code", code("python", PYTHON), "items[i]", "items[i + 1]"),
    ("code", code("python", PYTHON), "range(0, limit)", "range(1, limit)"),
    ("code", code("python", PYTHON), "range(0, limit)", "range(0, limit - 1)"),
    ("code", code("python", PYTHON), "[a-z]+", "[A-Z]+"),
    ("code", code("python", PYTHON), '"x"', '"y"'),
    ("code", code("python", PYTHON), "is None", "is not None"),
    ("code", code("python", PYTHON), "rows.append", "rows.extend"),
    ("code", code("python", PYTHON), "limit=10", "limit=100"),
    ("code", code("python", PYTHON), "return re", "yield re"),
    ("code", code("sql", SQL), "LEFT JOIN", "INNER JOIN"),
    ("code", code("sql", SQL), "LEFT JOIN", "JOIN"),
    ("code", code("sql", SQL), "DESC", "ASC"),
    ("code", code("sql", SQL), " DESC", ""),
    ("code", code("sql", SQL), "LIMIT 10", "LIMIT 100"),
    ("code", code("sql", SQL), "\nLIMIT 10", ""),
    ("code", code("sql", SQL), "o.customer_id = c.id", "o.id = c.customer_id"),
    ("code", code("sql", SQL), "WHERE o.total > 100 AND c.active = TRUE\n", ""),
    ("code", code("sql", "DELETE FROM users\nWHERE id = 5;"), "\nWHERE id = 5", ""),
    ("code", code("sql", "DELETE FROM users WHERE id = 5;"), "DELETE FROM users WHERE id = 5", "DROP TABLE users"),
    ("code", code("bash", SHELL), " --delete", ""),
    ("code", code("bash", SHELL), "600", "777"),
    ("code", code("bash", SHELL), "-avz", "-az"),
    ("code", code("bash", SHELL), "/srv/data/ backup:/srv/data/", "backup:/srv/data/ /srv/data/"),
    ("code", code("bash", "rm -rf ./build"), "./build", "/build"),
    ("code", code("javascript", "if (a === b && !done) {\n  await save(user, id);\n}"), "===", "!=="),
    ("code", code("javascript", "if (a === b && !done) {\n  await save(user, id);\n}"), "!done", "done"),
    ("code", code("javascript", "if (a === b && !done) {\n  await save(user, id);\n}"), "&&", "||"),
    ("code", code("c", "for (int i = 0; i < n; i++) {\n  sum += a[i];\n}"), "i < n", "i <= n"),
    ("code", code("c", "for (int i = 0; i < n; i++) {\n  sum += a[i];\n}"), "a[i]", "a[i-1]"),
    ("code", "Run `git push --force origin main` to publish it to the server.", " --force", ""),
    ("code", "Run `git reset --soft HEAD~1` to undo the last commit.", "--soft", "--hard"),
    (
        "table",
        "| Drug | Dose | Route |\n|---|---|---|\n| A | 5 mg | oral |\n| B | 10 mg | oral |",
        "| B | 10 mg | oral |",
        "| B | 10 mg | nasal |",
    ),
    (
        "table",
        "| Plan | Price |\n|---|---|\n| Basic | $5 |\n| Pro | $9 |",
        "| Basic | $5 |\n| Pro | $9 |",
        "| Basic | $9 |\n| Pro | $5 |",
    ),
]
HARMLESS = [
    ("这笔贷款的年利率是百分之三点五，期限两年。", "这笔贷款的年利率是3.5%，期限两年。"),
    ("大约百分之二的人受影响。", "大约2%的人受影响。"),
    ("Nunca deje el medicamento al alcance de los niños.", "No deje nunca el medicamento al alcance de los niños."),
    ("Non lasciare mai il farmaco ai bambini.", "Non lasciare il farmaco ai bambini."),
    ("It isn't safe, and you shouldn't try it.", "It is not safe, and you should not try it."),
    ("Acme sued Globex over the patent.", "Globex was sued by Acme over the patent."),
    ("The committee approved the plan in May.", "The plan was approved by the committee in May."),
    ("Use a big pan to cook the rice.", "Use a large pan to cook the rice."),
    ("- First wash the rice.\n- Then boil it.", "* First wash the rice.\n* Then boil it."),
    ("Wash **the rice** well.", "Wash the rice well."),
    (code("python", "x = 5  # five\nprint(x)"), code("python", "# five\nx = 5\nprint(x)")),
    (code("python", "import os\nimport re\nprint(os.name)"), code("python", "import re\nimport os\nprint(os.name)")),
    (
        code("python", 'def f(x):\n    """Give x."""\n    return x'),
        code("python", 'def f(x):\n    """Return the x given."""\n    return x'),
    ),
    (code("python", 'a = "x"'), code("python", "a = 'x'")),
    (code("yaml", "name: 'web'\nn: 3"), code("yaml", 'name: "web"\nn: 3')),
    (code("yaml", "name: 'web'\nn: 3"), code("yaml", "name: web\nn: 3")),
    (code("json", '{"a": 1, "b": 2}'), code("json", '{\n  "b": 2.0,\n  "a": 1\n}')),
    ("You need five eggs and 2 cups.", "You need 5 eggs and two cups."),
    ("It weighs 5 kg and is 3 m long.", "It weighs 5kg and is 3m long."),
    ("The town has 12,500 people.", "The town has 12500 people."),
    ("It opened on March 5, 2021.", "It opened on 5 March 2021."),
    ("It opened on 5 March 2021.", "It opened on 2021-03-05."),
    ("Der Ort hat 12.500 Einwohner und liegt am Meer.", "Der Ort hat 12500 Einwohner und liegt am Meer."),
    ("Die Stadt hat 3,5 Millionen Einwohner.", "Die Stadt hat 3.500.000 Einwohner."),
    ("Il est ouvert depuis le 5 mars 2021 dans la ville.", "Il est ouvert depuis le 05/03/2021 dans la ville."),
    ("Le train part à 17 h 30 de la gare.", "Le train part à 17h30 de la gare."),
    ("El tren sale a las 17:30 de la estación.", "El tren sale a las 5:30 pm de la estación."),
    ("这种药每天吃三次，饭后服用。", "这种药每天吃3次，饭后服用。"),
    ("この薬は一日に五回飲んでください。", "この薬は1日に5回飲んでください。"),
    ("Das Gerät ist nicht kaputt.", "Das Gerät ist keineswegs kaputt."),
    (code("sql", SQL), code("sql", SQL.replace("\n", " ").lower())),
    (code("sql", SQL), code("sql", SQL.replace("LEFT JOIN", "LEFT OUTER JOIN"))),
    (code("sql", SQL), code("sql", SQL.replace("customers c", "customers AS c"))),
    (code("bash", "# copy\ncp a.txt b.txt"), code("bash", "cp a.txt b.txt  # copy")),
    (code("javascript", "const a = 'x';\nconst b = 2;"), code("javascript", 'const a = "x"\nconst b = 2')),
    (
        code("python", "def f(a, b):\n    total = a + b\n    return total"),
        code("python", "def f(x, y):\n    s = x + y\n    return s"),
    ),
    (code("python", "x = {'a': 1,\n     'b': 2}"), code("python", "x = {\n    'a': 1,\n    'b': 2,\n}")),
    ("| A | B |\n|---|---|\n| 1,000 | x |\n| 2 | y |", "| A | B |\n|:--|--:|\n| 2 | y |\n| 1000 | x |"),
    ("The meeting starts at 5 pm.", "The meeting starts at 17:00."),
    ("About half of the users left.", "About 50% of the users left."),
    ("You can't do it until you log in.", "You can do it only after you log in."),
    ("Nobody except Ann came.", "Only Ann came."),
    ("Remember to save the file.", "Don't forget to save the file."),
    ("It costs $5 million.", "It costs $5M."),
    ("The U.S. won the race.", "The US won the race."),
    ("He lives in New York City now.", "He now lives in New York City."),
]


@pytest.mark.parametrize(("subject", "text", "old", "new"), FATAL)
def test_fatal(subject, text, old, new):
    assert old in text
    for one, other in ((text, text.replace(old, new, 1)), (text.replace(old, new, 1), text)):
        assert compare_texts(one, other).conflicts


@pytest.mark.parametrize(("one", "other"), HARMLESS)
def test_harmless(one, other):
    assert not compare_texts(one, other).conflicts
    assert not compare_texts(other, one).conflicts

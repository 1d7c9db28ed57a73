class Evaluator:
    def __init__(self, **kwargs):
        self.eval_methods = kwargs.get("eval_methods")

    def evaluate_from_direct(self, results, dataset_name, concept=None):
        scores = {}
        for method in self.eval_methods:
            if "distinctness" in method.lower():
                words = [word for row in results for text in row["pred"] for word in text.split()]
                scores["dist-1"] = len(set(words)) / max(len(words), 1)
        return scores

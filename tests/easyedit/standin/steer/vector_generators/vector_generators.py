import os

REQUIRED_DATASET_METHODS = ["caa", "sft"]


class BaseVectorGenerator:
    def __init__(self, top_cfg):
        from ..utils import load_generate_vector_hparams

        self.hparams_dict = load_generate_vector_hparams(top_cfg)

    def generate_vectors(self, datasets=None):
        from ..utils.alg_dict import METHODS_CLASS_DICT

        generated = {}
        for name in datasets:
            generated[name] = {}
            for key, hparams in self.hparams_dict.items():
                before = hparams.steer_vector_output_dir
                hparams.steer_vector_output_dir = os.path.join(before, name)
                train = METHODS_CLASS_DICT[hparams.alg_name]["train"]
                if hparams.alg_name in REQUIRED_DATASET_METHODS:
                    vectors = train(hparams, datasets[name], dataset_name=name)
                else:
                    vectors = train(hparams)
                generated[name][key] = vectors
                hparams.steer_vector_output_dir = before
        return generated

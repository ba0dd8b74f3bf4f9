import { answerQuestions } from '../harness/party-side.ts';
import { type SimSetting, simulate } from './simulation.ts';

answerQuestions({ simulate: async (setting: SimSetting) => simulate(setting) });
